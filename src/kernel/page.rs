//! Relay pages by keyset: `first`/`after`/`last`/`before`, cursors that nobody needs to take apart.
//! Source: <https://relay.dev/graphql/connections.htm>.

use async_graphql::connection::{Connection, CursorType, Edge};
use async_graphql::{ObjectType, OutputType};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::error::{Error, Result};

/// Most items on a page.
pub const MOST: i32 = 100;
/// Items on a page when nobody says how many.
const USUAL: i32 = 20;

/// Where an item stands in a list: the value that the list is ordered by, and the id that breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which order the cursor belongs to: one of a list by time means nothing in a list by heat.
    pub order: u8,
    /// The ordering value; `None` is last.
    pub value: Option<i64>,
    /// The item.
    pub id: Uuid,
}

impl CursorType for Cursor {
    type Error = Error;

    fn decode_cursor(text: &str) -> Result<Self> {
        let broken = || Error::invalid("the cursor is not one of this server's");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| broken())?;
        let bytes: [u8; 26] = bytes.try_into().map_err(|_| broken())?;
        let [order, some, rest @ ..] = bytes;
        let (value, id) = rest.split_at(8);
        let value = i64::from_be_bytes(value.try_into().map_err(|_| broken())?);
        Ok(Self {
            order,
            value: match some {
                0 => None,
                1 => Some(value),
                _ => return Err(broken()),
            },
            id: Uuid::from_slice(id).map_err(|_| broken())?,
        })
    }

    fn encode_cursor(&self) -> String {
        let mut bytes = [0; 26];
        bytes[0] = self.order;
        bytes[1] = u8::from(self.value.is_some());
        bytes[2..10].copy_from_slice(&self.value.unwrap_or_default().to_be_bytes());
        bytes[10..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// A checked request for a page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How many items.
    pub size: usize,
    /// From the end of the list towards its beginning.
    pub backward: bool,
    /// Only what comes after this, in the direction of reading.
    pub from: Option<Cursor>,
    /// Only what comes before this, in the direction of reading.
    pub until: Option<Cursor>,
}

impl Page {
    /// Checks the four Relay arguments.
    ///
    /// # Errors
    /// Negative or more than 100 items, both `first` and `last`, a cursor that is broken or of another order.
    pub fn new(
        order: u8,
        first: Option<i32>,
        after: Option<&str>,
        last: Option<i32>,
        before: Option<&str>,
    ) -> Result<Self> {
        let (size, backward) = match (first, last) {
            (Some(_), Some(_)) => return Err(Error::invalid("give first or last, not both")),
            (Some(first), None) => (checked_size("first", first)?, false),
            (None, Some(last)) => (checked_size("last", last)?, true),
            (None, None) => (checked_size("first", USUAL)?, false),
        };
        let cursor = |text: Option<&str>| {
            let cursor = text.map(Cursor::decode_cursor).transpose()?;
            match cursor {
                Some(cursor) if cursor.order != order => {
                    Err(Error::invalid("the cursor belongs to a list in another order"))
                }
                cursor => Ok(cursor),
            }
        };
        let (after, before) = (cursor(after)?, cursor(before)?);
        let (from, until) = if backward { (before, after) } else { (after, before) };
        Ok(Self { size, backward, from, until })
    }

    /// Makes a connection of `found`: up to `size + 1` items in the direction of reading.
    #[must_use]
    pub fn connection<Row, Node, Fields>(
        &self,
        mut found: Vec<Row>,
        fields: Fields,
        edge: impl Fn(Row) -> (Cursor, Node),
    ) -> Connection<Cursor, Node, Fields>
    where
        Node: OutputType,
        Fields: ObjectType,
    {
        let more = found.len() > self.size;
        found.truncate(self.size);
        if self.backward {
            found.reverse();
        }
        let (previous, next) = if self.backward { (more, self.from.is_some()) } else { (self.from.is_some(), more) };
        let mut connection = Connection::with_additional_fields(previous, next, fields);
        connection.edges.extend(found.into_iter().map(|row| {
            let (cursor, node) = edge(row);
            Edge::new(cursor, node)
        }));
        connection
    }
}

/// A number of items within bounds, for `first` and its like.
///
/// # Errors
/// When it is negative or above [`MOST`].
pub fn checked_size(name: &str, size: i32) -> Result<usize> {
    match usize::try_from(size) {
        Ok(size) if size <= MOST as usize => Ok(size),
        _ => Err(Error::invalid(format!("{name} must be from 0 to {MOST}, got {size}"))),
    }
}
