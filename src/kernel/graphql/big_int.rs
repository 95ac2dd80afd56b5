//! Whole numbers of 64 bits: see `docs/adr/0015-64-bit-numbers-are-a-scalar.md`.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// The largest number from which on neighbours look the same to whoever reads JSON numbers as doubles: 2^53 - 1.
const EXACT: u64 = 9_007_199_254_740_991;

/// A whole number of 64 bits, signed. A JSON number up to 2^53 - 1 in magnitude, and a string of its digits beyond, where
/// programs that read numbers as doubles would change it; JavaScript's `BigInt(value)` takes both. Both are taken as input
/// at any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BigInt(pub i64);

/// A whole number of 64 bits, signed. A JSON number up to 2^53 - 1 in magnitude, and a string of its digits beyond, where
/// programs that read numbers as doubles would change it; JavaScript's `BigInt(value)` takes both. Both are taken as input
/// at any size.
#[Scalar(name = "BigInt")]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        let parsed = match &value {
            Value::Number(number) => number.as_i64(),
            // Digits and a sign: what Rust takes besides, a plus, is none of JSON's.
            Value::String(text) if !text.starts_with('+') => text.parse().ok(),
            _ => None,
        };
        parsed.map(Self).ok_or_else(|| InputValueError::custom("expected a whole number of 64 bits"))
    }

    fn to_value(&self) -> Value {
        if self.0.unsigned_abs() <= EXACT { Value::from(self.0) } else { Value::String(self.0.to_string()) }
    }
}
