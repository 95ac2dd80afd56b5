//! What a row of points says, to an audit and to an import alike.

use sha2::{Digest as _, Sha256};

use super::audit::whole;
use super::map::Mapping;
use super::store::{Found, place};
use crate::modules::points::ledger::Kind;

/// Why a value is no number of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// There is none, or it is no whole number.
    NotWhole,
    /// It needs more than 64 bits, or is the one number of 64 bits that has no opposite.
    TooLarge,
}

impl Wrong {
    /// What it would have to be.
    pub(super) fn due(self) -> &'static str {
        match self {
            Self::NotWhole => "a whole number",
            Self::TooLarge => "a number of 64 bits",
        }
    }
}

/// Where a transaction's type does not say what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nobody knows what it means.
    Unknown,
    /// It gives where the amount takes, or takes where that gives.
    Sign,
}

/// A number of points.
pub(super) fn points(text: Option<&str>) -> Result<i64, Wrong> {
    let text = text.ok_or(Wrong::NotWhole)?.trim();
    if let Some(number) = whole(text) {
        return if number == i64::MIN { Err(Wrong::TooLarge) } else { Ok(number) };
    }
    let number: f64 = text.parse().map_err(|_| Wrong::NotWhole)?;
    let is_whole = match text.split_once('.') {
        // A float would lose what stands behind the point of a long one.
        Some((_, rest)) if !rest.contains(['e', 'E']) => rest.bytes().all(|digit| digit == b'0'),
        _ => libm::trunc(number) == number,
    };
    match libm::fabs(number) {
        size if size.is_nan() || !is_whole => Err(Wrong::NotWhole),
        // As some databases write what is 1000000000000000.
        #[expect(clippy::cast_possible_truncation, reason = "whole, and exact in 53 bits")]
        size if size <= 9_007_199_254_740_991.0 => Ok(number as i64),
        size if size < 9_223_372_036_854_775_808.0 => Err(Wrong::NotWhole),
        _ => Err(Wrong::TooLarge),
    }
}

/// What a transaction of this type and change does, and by how many. A type that is unknown, or that the amount's sign
/// contradicts, is an adjustment: that has either sign. Where there are no types, the sign says it.
pub(super) fn kind(mapping: &Mapping, typed: bool, word: Option<&str>, change: i64) -> (Kind, i64, Option<Doubt>) {
    let by_sign = if change > 0 { Kind::AddPoints } else { Kind::DeductPoints };
    if !typed {
        return (by_sign, change, None);
    }
    let Some(kind) = word.and_then(|word| mapping.transaction(word)) else {
        return (Kind::Adjustment, change, Some(Doubt::Unknown));
    };
    let takes = matches!(kind, Kind::DeductPoints | Kind::Redeem);
    let amount = if takes && mapping.has_unsigned_points() { -change } else { change };
    match kind {
        Kind::Adjustment => (kind, amount, None),
        kind if takes == (amount < 0) => (kind, amount, None),
        _ => (Kind::Adjustment, amount, Some(Doubt::Sign)),
    }
}

/// Whether a reason says something.
pub(super) fn is_reason(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.trim().is_empty())
}

/// «student_id s1, id 7»; without ids, what else tells the row from others.
pub(super) fn named(table: &Found, row: &[Option<String>]) -> String {
    let columns: &[(&str, usize)] = match table.has("id") {
        true => &[("id", place::ID)],
        false => &[("points_change", place::POINTS), ("created_at", place::CREATED)],
    };
    let text = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or("NULL");
    let columns = columns.iter().filter(|(column, _)| table.has(column));
    columns.fold(format!("student_id {}", text(place::STUDENT)), |named, (column, at)| {
        format!("{named}, {column} {}", text(*at))
    })
}

/// By which a transaction without an id is known from run to run: a hash of all that its row says. Of rows that say the
/// same it is the same.
pub(super) fn fingerprint(row: &[Option<String>]) -> String {
    let mut hash = Sha256::new();
    for value in row.get(place::POINTS..).unwrap_or_default() {
        // No text is that long: NULL is told from all of them.
        let length = value.as_ref().map_or(u64::MAX, |text| text.len() as u64);
        hash.update(length.to_be_bytes());
        hash.update(value.as_deref().unwrap_or_default());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_points() {
        for (text, due) in [
            ("5", Ok(5)),
            (" -3.00", Ok(-3)),
            ("1e+15", Ok(1_000_000_000_000_000)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("9223372036854775808", Err(Wrong::TooLarge)),
            ("-9223372036854775808", Err(Wrong::TooLarge)),
            ("1e30", Err(Wrong::TooLarge)),
            ("123456789012345678901234.0", Err(Wrong::TooLarge)),
            ("1.5", Err(Wrong::NotWhole)),
            ("4503599627370497.0000001", Err(Wrong::NotWhole)),
            ("1e17", Err(Wrong::NotWhole)),
            ("five", Err(Wrong::NotWhole)),
            ("NaN", Err(Wrong::NotWhole)),
            ("inf", Err(Wrong::TooLarge)),
            ("", Err(Wrong::NotWhole)),
        ] {
            assert_eq!(points(Some(text)), due, "{text}");
        }
        assert_eq!(points(None), Err(Wrong::NotWhole));
    }

    #[test]
    fn kinds_by_type_and_sign() {
        let signed = Mapping::default();
        let unsigned = Mapping::parse("unsigned_points = true").unwrap();
        for (mapping, typed, word, change, due) in [
            (&signed, true, Some("award"), 5, (Kind::AddPoints, 5, None)),
            (&signed, true, Some("DEDUCT"), -5, (Kind::DeductPoints, -5, None)),
            (&signed, true, Some("deduct"), 5, (Kind::Adjustment, 5, Some(Doubt::Sign))),
            (&signed, true, Some("adjust"), -5, (Kind::Adjustment, -5, None)),
            (&signed, true, Some("dance"), 5, (Kind::Adjustment, 5, Some(Doubt::Unknown))),
            (&signed, true, None, 5, (Kind::Adjustment, 5, Some(Doubt::Unknown))),
            (&signed, false, None, -5, (Kind::DeductPoints, -5, None)),
            (&unsigned, true, Some("redeem"), 5, (Kind::Redeem, -5, None)),
            (&unsigned, true, Some("redeem"), -5, (Kind::Adjustment, 5, Some(Doubt::Sign))),
            (&unsigned, true, Some("earn"), 5, (Kind::AddPoints, 5, None)),
        ] {
            assert_eq!(kind(mapping, typed, word, change), due, "{word:?} {change}");
        }
    }
}
