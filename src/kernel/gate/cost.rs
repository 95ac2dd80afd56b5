//! What an operation costs: its fields, each as often as it will be resolved.
//!
//! A field that takes `first`, `last` or a list of ids asks for so many items; a list without these counts as
//! [`LIST_ITEMS`]. `edges` and `nodes` of a connection count as often as the connection's own field was asked for, and so
//! do the `items` of a `…BatchPayload`, an outcome an input. Long text costs more than a number: answers are held in memory
//! before they are written.
//! Source of the idea: GitHub's «node limit».

use apollo_compiler::ast;
use apollo_compiler::executable::Field;
use async_graphql::{Name, Value as ConstValue};

use super::document::Fragment;
use super::values::Values;

/// Items that a list without arguments is taken to have.
const LIST_ITEMS: u64 = 10;
/// Items of a page when nobody says how many.
const PAGE_ITEMS: u64 = 20;
/// Items of a page at most: a request for more is refused by its resolver, which costs nothing.
const PAGE_MOST: u64 = 100;
/// Ids in one request at most, likewise.
const IDS_MOST: u64 = 1_000;

/// Fields with text of more than a few hundred characters: 1 for each 500 that it may have. So an operation's text takes
/// 2 KB for each unit of its cost at most, as UTF-8.
const TEXTS: [(&str, u64); 2] = [("prompt", 20), ("body", 4)];
/// The same for links, `…Url`.
const LINK: u64 = 4;

/// The cost of one selection.
pub(super) enum Cost {
    /// A field without fields.
    Leaf(u64),
    /// A field: itself, and what is in it so many times.
    Field(Times, Vec<Cost>),
    /// A fragment, by its place in the document's list.
    Spread(usize),
    /// What an inline fragment holds.
    Inline(Vec<Cost>),
}

/// How many items a field asks for: the sum of its arguments, known or by variable.
#[derive(Default)]
pub(super) struct Times {
    known: u64,
    variables: Vec<Name>,
}

impl Times {
    fn known(known: u64) -> Self {
        Self { known, variables: Vec::new() }
    }

    /// Of a field of the type `parent`. The items of a connection or a batch were counted where they were asked for.
    pub(super) fn of(field: &Field, parent: &str) -> Self {
        let paged = parent.ends_with("Connection") && matches!(field.name.as_str(), "edges" | "nodes")
            || parent.ends_with("BatchPayload") && field.name == "items";
        let mut times = Self::known(0);
        let mut asked = false;
        for definition in field.definition.arguments.iter().filter(|argument| slices(argument)) {
            let given = field.arguments.iter().find(|argument| argument.name == definition.name);
            let value = given.map(|argument| &argument.value).or(definition.default_value.as_ref());
            match value.map(|value| &**value) {
                None | Some(ast::Value::Null) => continue,
                Some(ast::Value::Int(int)) => times.known += int.try_to_i32().map_or(0, items),
                Some(ast::Value::List(list)) => times.known += (list.len() as u64).min(IDS_MOST),
                Some(ast::Value::Variable(name)) => times.variables.push(Name::new(name)),
                Some(_) => times.known += 1,
            }
            asked = true;
        }
        let pages = field.definition.arguments.iter().any(|argument| argument.name == "first");
        match (asked, pages, field.definition.ty.is_list()) {
            (true, ..) => times,
            (false, true, _) => Self::known(PAGE_ITEMS),
            (false, false, true) if !paged => Self::known(LIST_ITEMS),
            _ => Self::known(1),
        }
    }

    fn count(&self, values: &Values) -> u64 {
        let by_variable = self.variables.iter().map(|name| match values.get(name) {
            Some(ConstValue::Number(number)) => number.as_i64().map_or(0, |n| i32::try_from(n).map_or(0, items)),
            Some(ConstValue::List(list)) => (list.len() as u64).min(IDS_MOST),
            Some(ConstValue::Null) | None => PAGE_ITEMS,
            Some(_) => 1,
        });
        by_variable.fold(self.known, u64::saturating_add)
    }

    pub(super) fn bytes(&self) -> usize {
        self.variables.iter().map(|name| size_of::<Name>() + name.len()).sum()
    }
}

/// `first: Int`, `last: Int`, and lists of whatever is looked up.
fn slices(argument: &ast::InputValueDefinition) -> bool {
    matches!(argument.name.as_str(), "first" | "last") || argument.ty.is_list()
}

fn items(count: i32) -> u64 {
    u64::try_from(count).unwrap_or(0).min(PAGE_MOST)
}

impl Cost {
    /// Of a field without fields.
    pub(super) fn leaf(name: &str) -> Self {
        let text = TEXTS.iter().find(|(text, _)| *text == name).map(|(_, cost)| *cost);
        Self::Leaf(text.unwrap_or(if name.ends_with("Url") { LINK } else { 1 }))
    }

    /// The cost of selections with these variables. Their number is limited, so the walk is.
    pub(super) fn sum(costs: &[Self], fragments: &[Fragment], values: &Values) -> u64 {
        let each = costs.iter().map(|cost| match cost {
            Self::Leaf(cost) => *cost,
            Self::Field(times, inner) => {
                Self::sum(inner, fragments, values).saturating_mul(times.count(values)).saturating_add(1)
            }
            Self::Spread(place) => {
                fragments.get(*place).map_or(0, |fragment| Self::sum(&fragment.cost, fragments, values))
            }
            Self::Inline(inner) => Self::sum(inner, fragments, values),
        });
        each.fold(0, u64::saturating_add)
    }
}
