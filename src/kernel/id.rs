//! Ids: UUIDv7 inside, TypeIDs (`artwork_01h455vb4pex5vsknk084sn02q`) at the edge.
//! Source: <https://github.com/jetify-com/typeid/tree/main/spec>.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::registry::Registry;
use async_graphql::{
    ContextSelectionSet, ID, InputType, InputValueError, InputValueResult, OutputType, Positioned, ServerResult, Value,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

pub use type_safe_id::StaticType as IdKind;

use super::clock::{Clock, Millis};
use super::error::{Code, Error};

/// Declares kinds of id: `id_kind!(UserKind = "user");`
#[macro_export]
macro_rules! id_kind {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name;
        impl $crate::kernel::id::IdKind for $name {
            const TYPE: &'static str = $prefix;
        }
    )+};
}

/// An id of one kind. In GraphQL it is an `ID` that is checked on the way in.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

impl<K> Id<K> {
    /// Wraps what the database holds.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// What the database holds.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K: IdKind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TypeSafeId::<K>::from_uuid(self.0).fmt(f)
    }
}
impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (prefix, uuid) = parse_any(text).map_err(|_| Error::invalid(format!("expected {}", a_kind(K::TYPE))))?;
        if prefix == K::TYPE {
            Ok(Self::new(uuid))
        } else {
            Err(Error::invalid(format!("expected {}, got {}", a_kind(K::TYPE), a_kind(&prefix))))
        }
    }
}

/// Takes any TypeID apart into its prefix and its UUID.
///
/// # Errors
/// [`Code::INVALID_INPUT`] for what is not a TypeID of a UUIDv7.
pub fn parse_any(text: &str) -> Result<(String, Uuid), Error> {
    let id = TypeSafeId::<DynamicType>::from_str(text).map_err(|_| Error::invalid("expected an id"))?;
    Ok((id.type_prefix().to_owned(), id.uuid()))
}

/// The smallest UUIDv7 of a moment: what has a smaller id is older.
#[must_use]
pub fn first_at(at: Millis) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap_or(0), &[0; 10]).into_uuid()
}

/// What stands for a deleted thing: its id is in no table any more, and a late act on it is still known.
#[must_use]
pub fn hash_of(id: Uuid) -> Uuid {
    let hash = Sha256::digest(id.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(bytes)
}

/// «a user id», «an artwork id».
#[must_use]
pub fn a_kind(prefix: &str) -> String {
    let article = if prefix.starts_with(['a', 'e', 'i', 'o', 'u']) && prefix != "user" { "an" } else { "a" };
    format!("{article} {prefix} id")
}

/// Gives a parsed type its place in the schema as an `ID` with the checks of its `FromStr` and the text of its
/// `Display`.
#[macro_export]
macro_rules! id_scalar {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> async_graphql::InputType for $type {
            type RawValueType = Self;
            fn type_name() -> std::borrow::Cow<'static, str> {
                <async_graphql::ID as async_graphql::InputType>::type_name()
            }
            fn create_type_info(registry: &mut async_graphql::registry::Registry) -> String {
                <async_graphql::ID as async_graphql::InputType>::create_type_info(registry)
            }
            fn parse(value: Option<async_graphql::Value>) -> async_graphql::InputValueResult<Self> {
                $crate::kernel::id::parse_scalar(value)
            }
            fn to_value(&self) -> async_graphql::Value {
                async_graphql::Value::String(self.to_string())
            }
            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }
        }
    };
}

/// The input half of [`id_scalar!`]: text in, a refusal with [`Code::INVALID_INPUT`] out.
///
/// # Errors
/// When the value is no string or `FromStr` refuses it.
pub fn parse_scalar<T: InputType + FromStr<Err = Error>>(value: Option<Value>) -> InputValueResult<T> {
    match value {
        Some(Value::String(text)) => text.parse().map_err(|error: Error| {
            InputValueError::custom(error.client()).with_extension("code", Code::INVALID_INPUT.0)
        }),
        other => Err(InputValueError::expected_type(other.unwrap_or_default())),
    }
}

id_scalar!([K: IdKind + 'static] Id<K>);

impl<K: IdKind + 'static> OutputType for Id<K> {
    fn type_name() -> Cow<'static, str> {
        <ID as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <ID as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<async_graphql::parser::types::Field>,
    ) -> ServerResult<Value> {
        Ok(Value::String(self.to_string()))
    }
}

/// Makes ids; its clock and its randomness are injected, so that a seed gives the same ids again.
pub struct Ids {
    clock: Arc<dyn Clock>,
    random: Mutex<StdRng>,
}

impl Ids {
    /// Ids that nobody can guess.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, random: Mutex::new(rand::make_rng()) }
    }

    /// The same ids each time, for tests.
    #[must_use]
    pub fn seeded(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self { clock, random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// A new UUIDv7.
    pub fn next(&self) -> Uuid {
        self.at(self.clock.now())
    }

    /// A new UUIDv7 of a moment, which it is ordered by.
    pub fn at(&self, moment: Millis) -> Uuid {
        let millis = u64::try_from(moment.0).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }
}

/// The unit of order: batches, outbox and shards go by it. A fixed hash of an id; never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u8);

impl Lane {
    /// The lane of a content's or a user's id: the last byte, which is random in a UUIDv7.
    #[must_use]
    pub fn of(id: Uuid) -> Self {
        Self(id.as_bytes()[15])
    }
}

/// Some of the 256 lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lanes([u64; 4]);

impl Lanes {
    /// In ascending order.
    pub fn iter(self) -> impl Iterator<Item = Lane> {
        (0..=u8::MAX).filter(move |lane| self.0[usize::from(lane / 64)] & (1 << (lane % 64)) != 0).map(Lane)
    }
}

impl FromIterator<Lane> for Lanes {
    fn from_iter<T: IntoIterator<Item = Lane>>(lanes: T) -> Self {
        lanes.into_iter().fold(Self::default(), |mut all, Lane(lane)| {
            all.0[usize::from(lane / 64)] |= 1 << (lane % 64);
            all
        })
    }
}

impl From<Lane> for Lanes {
    fn from(lane: Lane) -> Self {
        Self::from_iter([lane])
    }
}
