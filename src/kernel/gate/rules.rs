//! Rules of the specification that apollo-compiler does not check.

use std::collections::HashSet;

use apollo_compiler::Node;
use apollo_compiler::ast::{Argument, Definition, DirectiveList, Document, Selection, Value};
use async_graphql::ServerError;

use super::{located, place};
use crate::kernel::error::Error;

/// Checks what validation left out.
///
/// # Errors
/// [`crate::kernel::error::Code::INVALID_INPUT`] of the first breach: an input object that has a field twice (5.6.3).
pub(super) fn check(document: &Document) -> Result<(), ServerError> {
    let rules = Rules { document };
    for definition in &document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                rules.directives(&operation.directives)?;
                for variable in &operation.variables {
                    variable.default_value.iter().try_for_each(|value| rules.value(value))?;
                    rules.directives(&variable.directives)?;
                }
                rules.selections(&operation.selection_set)?;
            }
            Definition::FragmentDefinition(fragment) => {
                rules.directives(&fragment.directives)?;
                rules.selections(&fragment.selection_set)?;
            }
            _ => {}
        }
    }
    Ok(())
}

struct Rules<'a> {
    document: &'a Document,
}

impl Rules<'_> {
    fn selections(&self, selections: &[Selection]) -> Result<(), ServerError> {
        selections.iter().try_for_each(|selection| match selection {
            Selection::Field(field) => {
                self.arguments(&field.arguments)?;
                self.directives(&field.directives)?;
                self.selections(&field.selection_set)
            }
            Selection::FragmentSpread(spread) => self.directives(&spread.directives),
            Selection::InlineFragment(inline) => {
                self.directives(&inline.directives)?;
                self.selections(&inline.selection_set)
            }
        })
    }

    fn directives(&self, directives: &DirectiveList) -> Result<(), ServerError> {
        directives.iter().try_for_each(|directive| self.arguments(&directive.arguments))
    }

    fn arguments(&self, arguments: &[Node<Argument>]) -> Result<(), ServerError> {
        arguments.iter().try_for_each(|argument| self.value(&argument.value))
    }

    fn value(&self, value: &Node<Value>) -> Result<(), ServerError> {
        match &**value {
            Value::List(items) => items.iter().try_for_each(|item| self.value(item)),
            Value::Object(fields) => {
                let mut seen = HashSet::with_capacity(fields.len());
                for (name, value) in fields {
                    if !seen.insert(name) {
                        let error = Error::invalid(format!("the input field `{name}` is given twice"));
                        return Err(located(error, place(value, &self.document.sources)));
                    }
                    self.value(value)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
