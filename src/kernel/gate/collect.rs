//! Selections as they run: conditions decided, and fields of one response key joined.
//! Source: specification, 6.3.2, `CollectFields`. async-graphql resolves each occurrence of a field and joins the
//! answers, so that a mutation that two fragments ask for would run twice.

use std::collections::HashSet;

use async_graphql::parser::types::{Directive, Field, InlineFragment, Selection, SelectionSet};
use async_graphql::{Name, Positioned, Value as ConstValue};

use super::document::Fragment;
use super::values::{self, Values};

type Items = Vec<Positioned<Selection>>;

/// The root's selections: without fragments, all of which are on the root's type, and each response key once.
pub(super) fn root(
    set: &Positioned<SelectionSet>,
    fragments: &[Fragment],
    values: &Values,
) -> Positioned<SelectionSet> {
    let mut items = Items::new();
    flatten(set, fragments, values, &mut HashSet::new(), &mut items);
    set.position_node(SelectionSet { items: join(items) })
}

fn flatten<'a>(
    set: &'a Positioned<SelectionSet>,
    fragments: &'a [Fragment],
    values: &Values,
    seen: &mut HashSet<&'a Name>,
    items: &mut Items,
) {
    for item in set.node.items.iter().filter(|item| included(item.node.directives(), values)) {
        match &item.node {
            Selection::Field(field) => items.push(item.position_node(Selection::Field(instantiate(field, values)))),
            Selection::InlineFragment(inline) => {
                flatten(&inline.node.selection_set, fragments, values, seen, items);
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let fragment = fragments.iter().find(|fragment| fragment.name == *name);
                if let Some(fragment) = fragment.filter(|_| seen.insert(name)) {
                    flatten(&fragment.definition.node.selection_set, fragments, values, seen, items);
                }
            }
        }
    }
}

/// Selections below the root. Fragments stay: which of them hold is known when there is an object.
pub(super) fn selection_set(set: &Positioned<SelectionSet>, values: &Values) -> Positioned<SelectionSet> {
    let items = set.node.items.iter().filter(|item| included(item.node.directives(), values));
    let items = items.map(|item| item.position_node(selection(&item.node, values)));
    set.position_node(SelectionSet { items: join(items.collect()) })
}

fn selection(selection: &Selection, values: &Values) -> Selection {
    match selection {
        Selection::Field(field) => Selection::Field(instantiate(field, values)),
        Selection::FragmentSpread(spread) => {
            let mut spread = spread.clone();
            spread.node.directives = Vec::new();
            Selection::FragmentSpread(spread)
        }
        Selection::InlineFragment(inline) => Selection::InlineFragment(inline.position_node(InlineFragment {
            type_condition: inline.node.type_condition.clone(),
            directives: Vec::new(),
            selection_set: selection_set(&inline.node.selection_set, values),
        })),
    }
}

fn instantiate(field: &Positioned<Field>, values: &Values) -> Positioned<Field> {
    field.position_node(Field {
        alias: field.node.alias.clone(),
        name: field.node.name.clone(),
        arguments: values::arguments(&field.node.arguments, values),
        directives: Vec::new(),
        selection_set: selection_set(&field.node.selection_set, values),
    })
}

/// Joins the fields of a response key where the first of them stands. Validation has seen to it that they are alike.
fn join(items: Items) -> Items {
    let mut joined = Items::with_capacity(items.len());
    for item in items {
        let Selection::Field(field) = &item.node else {
            joined.push(item);
            continue;
        };
        let key = &field.node.response_key().node;
        let first = joined.iter_mut().find_map(|other| match &mut other.node {
            Selection::Field(other) if other.node.response_key().node == *key => Some(other),
            _ => None,
        });
        match (first, item.node) {
            (Some(first), Selection::Field(field)) => {
                let set = &mut first.node.selection_set.node;
                set.items.extend(field.node.selection_set.node.items);
                set.items = join(std::mem::take(&mut set.items));
            }
            (_, node) => joined.push(Positioned::new(node, item.pos)),
        }
    }
    joined
}

/// `@skip` and `@include`; validation has seen to it that their `if` is a boolean.
fn included(directives: &[Positioned<Directive>], values: &Values) -> bool {
    directives.iter().all(|directive| {
        let holds = directive.node.get_argument("if").and_then(|value| values::resolve(&value.node, values));
        match &*directive.node.name.node {
            "skip" => holds != Some(ConstValue::Boolean(true)),
            "include" => holds != Some(ConstValue::Boolean(false)),
            _ => true,
        }
    })
}
