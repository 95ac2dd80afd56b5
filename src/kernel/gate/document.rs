//! A valid document in the form that is cached, and what makes a request of it.

use std::sync::Arc;

use apollo_compiler::ast::Type;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, OperationDefinition, OperationType,
    Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Value as ConstValue};

use super::Refused;
use super::cost::Cost;
use super::values::{self, Values};
use crate::kernel::error::{Error, Result};
use crate::kernel::text::brief;

/// A valid document.
pub(crate) struct Document {
    pub(super) operations: Vec<Operation>,
    /// Name, definition and cost of each fragment; operations and costs refer to places in this list.
    pub(super) fragments: Vec<Fragment>,
    /// The beginning of the SHA-256 of its text, in hexadecimal.
    pub(super) hash: Arc<str>,
    /// Whether it comes from the operator's folder.
    pub(super) trusted: bool,
    /// What it takes in memory, by the sizes of its parts.
    pub(super) bytes: usize,
}

/// One fragment of a document.
pub(super) struct Fragment {
    pub(super) name: Name,
    pub(super) definition: Positioned<FragmentDefinition>,
    pub(super) cost: Vec<Cost>,
}

/// One operation of a document.
pub(super) struct Operation {
    pub(super) name: Option<Arc<str>>,
    pub(super) kind: OperationType,
    pub(super) variables: Vec<Variable>,
    pub(super) definition: Positioned<OperationDefinition>,
    /// The fragments that it reaches.
    pub(super) fragments: Vec<usize>,
    pub(super) cost: Vec<Cost>,
    /// Whether it asks for `__schema` or `__type`.
    pub(super) introspects: bool,
}

/// A variable of an operation.
pub(super) struct Variable {
    pub(super) name: Name,
    pub(super) ty: Type,
    pub(super) default: Option<ConstValue>,
}

impl Document {
    /// The operation of this name, or the only one.
    pub(super) fn operation(&self, name: Option<&str>) -> Result<&Operation, Refused> {
        let refused = |message: String| Refused::of("operation", Error::invalid(message));
        match (name, &self.operations[..]) {
            (None, [only]) => Ok(only),
            (None, _) => Err(refused("the document has several operations: send operationName".to_owned())),
            (Some(name), operations) => operations
                .iter()
                .find(|operation| operation.name.as_deref() == Some(name))
                .ok_or_else(|| refused(format!("the document has no operation named \"{}\"", brief(name, 60)))),
        }
    }

    /// What an operation costs with these variables.
    pub(super) fn cost(&self, operation: &Operation, values: &Values) -> u64 {
        Cost::sum(&operation.cost, &self.fragments, values)
    }

    /// The document of one operation, without its variables and conditions: they are put in place and decided.
    pub(super) fn instantiate(&self, operation: &Operation, values: &Values) -> ExecutableDocument {
        let definition = &operation.definition.node;
        let fragments = operation.fragments.iter().filter_map(|place| self.fragments.get(*place)).map(|fragment| {
            let definition = fragment.definition.position_node(FragmentDefinition {
                type_condition: fragment.definition.node.type_condition.clone(),
                directives: Vec::new(),
                selection_set: selection_set(&fragment.definition.node.selection_set, values),
            });
            (fragment.name.clone(), definition)
        });
        let operation = operation.definition.position_node(OperationDefinition {
            ty: definition.ty,
            variable_definitions: Vec::new(),
            directives: Vec::new(),
            selection_set: selection_set(&definition.selection_set, values),
        });
        ExecutableDocument { operations: DocumentOperations::Single(operation), fragments: fragments.collect() }
    }
}

fn selection_set(set: &Positioned<SelectionSet>, values: &Values) -> Positioned<SelectionSet> {
    let items = set.node.items.iter().filter(|item| included(item.node.directives(), values));
    set.position_node(SelectionSet {
        items: items.map(|item| item.position_node(selection(&item.node, values))).collect(),
    })
}

fn selection(selection: &Selection, values: &Values) -> Selection {
    match selection {
        Selection::Field(field) => Selection::Field(field.position_node(Field {
            alias: field.node.alias.clone(),
            name: field.node.name.clone(),
            arguments: values::arguments(&field.node.arguments, values),
            directives: Vec::new(),
            selection_set: selection_set(&field.node.selection_set, values),
        })),
        Selection::FragmentSpread(spread) => {
            let mut spread = spread.clone();
            spread.node.directives = Vec::new();
            Selection::FragmentSpread(spread)
        }
        Selection::InlineFragment(inline) => {
            Selection::InlineFragment(inline.position_node(async_graphql::parser::types::InlineFragment {
                type_condition: inline.node.type_condition.clone(),
                directives: Vec::new(),
                selection_set: selection_set(&inline.node.selection_set, values),
            }))
        }
    }
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
