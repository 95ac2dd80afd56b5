//! A valid document in the form that is cached, and what makes a request of it.

use std::sync::Arc;

use apollo_compiler::ast::Type;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, FragmentDefinition, OperationDefinition, OperationType,
};
use async_graphql::{Name, Positioned, Value as ConstValue};
use sha2::{Digest as _, Sha256};

use super::cost::Cost;
use super::persisted::Hash;
use super::values::{self, Uses, Values};
use super::{Refused, collect};
use crate::kernel::error::{Error, Result};
use crate::kernel::graphql::Likeness;
use crate::kernel::text::brief;

/// A valid document.
pub(crate) struct Document {
    pub(super) operations: Vec<Operation>,
    /// Name, definition and cost of each fragment; operations and costs refer to places in this list.
    pub(super) fragments: Vec<Fragment>,
    /// The SHA-256 of its text.
    pub(super) digest: Hash,
    /// Its beginning, in hexadecimal.
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
    pub(super) uses: Uses,
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
    /// How often each variable is put in place, in its own selections.
    pub(super) uses: Uses,
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

    /// Bytes of variables once they are put in place: a copy at each use.
    pub(super) fn copied_bytes(&self, operation: &Operation, values: &Values) -> usize {
        let fragments = operation.fragments.iter().filter_map(|place| self.fragments.get(*place));
        let uses = fragments.map(|fragment| &fragment.uses).chain([&operation.uses]).flatten();
        uses.map(|(name, times)| times.saturating_mul(values.get(name).map_or(0, values::const_bytes)))
            .fold(0, usize::saturating_add)
    }

    /// What an operation with these values has in common with all that are executed alike.
    pub(super) fn likeness(&self, operation: &Operation, values: &Values) -> Likeness {
        let mut hash = Sha256::new_with_prefix(self.digest);
        let mut add = |part: &str| {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        };
        add(operation.name.as_deref().unwrap_or_default());
        let mut values: Vec<_> = values.iter().collect();
        values.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in values {
            add(name);
            // As a document has it: "A" is not the enum's value A.
            add(&value.to_string());
        }
        hash.finalize().into()
    }

    /// The document of one operation, without its variables and conditions: they are put in place and decided.
    pub(super) fn instantiate(&self, operation: &Operation, values: &Values) -> ExecutableDocument {
        let definition = &operation.definition.node;
        let fragments = operation.fragments.iter().filter_map(|place| self.fragments.get(*place)).map(|fragment| {
            let definition = fragment.definition.position_node(FragmentDefinition {
                type_condition: fragment.definition.node.type_condition.clone(),
                directives: Vec::new(),
                selection_set: collect::selection_set(&fragment.definition.node.selection_set, values),
            });
            (fragment.name.clone(), definition)
        });
        let operation = operation.definition.position_node(OperationDefinition {
            ty: definition.ty,
            variable_definitions: Vec::new(),
            directives: Vec::new(),
            selection_set: collect::root(&definition.selection_set, &self.fragments, values),
        });
        ExecutableDocument { operations: DocumentOperations::Single(operation), fragments: fragments.collect() }
    }
}
