//! Relay pages by keyset: `first`/`after`/`last`/`before`, cursors that nobody needs to take apart.
//! Source: <https://relay.dev/graphql/connections.htm>.

use std::borrow::Cow;

use async_graphql::connection::CursorType;
use async_graphql::{Object, ObjectType, OutputType, SimpleObject, TypeName};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::error::{Error, Result};

/// Most items on a page.
pub const MOST: i32 = 100;
/// Items on a page when nobody says how many.
const USUAL: i32 = 20;

/// Where an item stands in a list: the value that the list is ordered by, and the id that breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// A page forward, from a cursor of whatever order: for lists whose owner looks at it.
    ///
    /// # Errors
    /// Negative or more than 100 items, a cursor that is broken.
    pub fn forward(first: Option<i32>, after: Option<&str>) -> Result<Self> {
        let order = after.map(Cursor::decode_cursor).transpose()?.map_or(0, |cursor| cursor.order);
        Self::new(order, first, after, None, None)
    }

    /// Makes a connection of a page that was read forward and cut already.
    #[must_use]
    pub fn connection_of<Node, Fields>(
        &self,
        items: Vec<(Cursor, Node)>,
        more: bool,
        fields: Fields,
    ) -> Connection<Node, Fields> {
        let edges = items.into_iter().map(|(cursor, node)| Edge { cursor, node }).collect();
        Connection { edges, previous: self.from.is_some(), next: more, fields }
    }

    /// Makes a connection of `found`: up to `size + 1` items in the direction of reading.
    #[must_use]
    pub fn connection<Row, Node, Fields>(
        &self,
        mut found: Vec<Row>,
        fields: Fields,
        edge: impl Fn(Row) -> (Cursor, Node),
    ) -> Connection<Node, Fields> {
        let more = found.len() > self.size;
        found.truncate(self.size);
        if self.backward {
            found.reverse();
        }
        let (previous, next) = if self.backward { (more, self.from.is_some()) } else { (self.from.is_some(), more) };
        let edges = found.into_iter().map(|row| {
            let (cursor, node) = edge(row);
            Edge { cursor, node }
        });
        Connection { edges: edges.collect(), previous, next, fields }
    }
}

/// A page of a list. The library's own type would do, but for what it says of itself in every schema.
pub struct Connection<Node, Fields> {
    edges: Vec<Edge<Node>>,
    previous: bool,
    next: bool,
    /// What the list has besides its page.
    fields: Fields,
}

impl<Node: OutputType, Fields: Send + Sync> TypeName for Connection<Node, Fields> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", Node::type_name()).into()
    }
}

/// A page of a list, as the Relay specification of connections has it.
#[Object(name_type)]
impl<Node: OutputType, Fields: ObjectType> Connection<Node, Fields> {
    /// The items of the page in the order of the list, each with its cursor.
    async fn edges(&self) -> &[Edge<Node>] {
        &self.edges
    }

    /// The items of the page in the order of the list.
    async fn nodes(&self) -> Vec<&Node> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Whether the list goes on before and after the page, and from which cursor.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: self.previous,
            has_next_page: self.next,
            start_cursor: self.edges.first().map(|edge| edge.cursor.encode_cursor()),
            end_cursor: self.edges.last().map(|edge| edge.cursor.encode_cursor()),
        }
    }

    #[graphql(flatten)]
    async fn fields(&self) -> &Fields {
        &self.fields
    }
}

/// An item and its place in the list.
pub struct Edge<Node> {
    cursor: Cursor,
    node: Node,
}

impl<Node: OutputType> TypeName for Edge<Node> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", Node::type_name()).into()
    }
}

/// An item of a page, and its place in the list.
#[Object(name_type)]
impl<Node: OutputType> Edge<Node> {
    /// The place: what `after` and `before` of the same list in the same order take. Opaque, and good for as long as the
    /// list keeps its order.
    async fn cursor(&self) -> String {
        self.cursor.encode_cursor()
    }

    /// The item.
    async fn node(&self) -> &Node {
        &self.node
    }
}

/// Whether a list goes on before and after a page, and from where.
#[derive(SimpleObject)]
struct PageInfo {
    /// Whether there are items before the page. Reading forward: whether `after` was given.
    has_previous_page: bool,
    /// Whether there are items after the page. Reading backward: whether `before` was given.
    has_next_page: bool,
    /// The first item's cursor, for `before`; null on an empty page.
    start_cursor: Option<String>,
    /// The last item's cursor, for `after`; null on an empty page.
    end_cursor: Option<String>,
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
