//! Rules of the specification that apollo-compiler does not check to their end: what stands inside lists and objects.

use std::collections::{HashMap, HashSet};

use apollo_compiler::ast::{Type, Value, VariableDefinition};
use apollo_compiler::executable::{Argument, DirectiveList, Operation, Selection, SelectionSet};
use apollo_compiler::schema::{ExtendedType, InputValueDefinition};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Node, Schema};
use async_graphql::ServerError;

use super::{located, place};
use crate::kernel::error::Error;

type Checked = Result<(), Box<ServerError>>;

/// Checks what validation left out.
///
/// # Errors
/// [`crate::kernel::error::Code::INVALID_INPUT`] of the first breach: an input object that has a field twice (5.6.3), a
/// variable of a type that its place does not allow (5.8.5), lists of different lengths for one answer (5.3.2).
pub(super) fn check(schema: &Schema, document: &Valid<ExecutableDocument>) -> Checked {
    for operation in document.operations.iter() {
        let mut rules = Rules { schema, document, operation, seen: HashSet::new() };
        for variable in &operation.variables {
            if let Some(value) = &variable.default_value {
                rules.value(value, &variable.ty, false)?;
            }
            rules.directives(&variable.directives)?;
        }
        rules.directives(&operation.directives)?;
        rules.selections(&operation.selection_set)?;
        let mut fields = HashMap::new();
        rules.overlaps(&operation.selection_set, ROOT, &mut fields)?;
    }
    Ok(())
}

/// The place of the operation itself, in which its fields stand.
const ROOT: usize = 0;

/// Fields by where their answers stand, as far as the document tells: the number of the field around them, the type that
/// is selected from, the response key. With the number of each, and its arguments.
type Fields<'a> = HashMap<(usize, &'a str, &'a str), (usize, &'a [Node<Argument>])>;

/// One operation and what it spreads: its variables are those of its fragments.
struct Rules<'a> {
    schema: &'a Schema,
    document: &'a ExecutableDocument,
    operation: &'a Operation,
    seen: HashSet<&'a Name>,
}

impl<'a> Rules<'a> {
    fn selections(&mut self, set: &'a SelectionSet) -> Checked {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.arguments, &field.definition.arguments)?;
                    self.directives(&field.directives)?;
                    self.selections(&field.selection_set)?;
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives)?;
                    self.selections(&inline.selection_set)?;
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives)?;
                    if self.seen.insert(&spread.fragment_name)
                        && let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                    {
                        self.directives(&fragment.directives)?;
                        self.selections(&fragment.selection_set)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Fields whose answers are one must have the same arguments. apollo-compiler compares lists up to the shorter one's
    /// length; the rest of the rule is its. The walk is as long as the document has fields, spreads expanded.
    fn overlaps(&self, set: &'a SelectionSet, parent: usize, fields: &mut Fields<'a>) -> Checked {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    let key = field.alias.as_ref().unwrap_or(&field.name);
                    let next = fields.len() + 1;
                    let (number, first) =
                        *fields.entry((parent, set.ty.as_str(), key.as_str())).or_insert((next, &field.arguments));
                    if !same_arguments(first, &field.arguments) {
                        let message = format!("`{key}` is asked for with different arguments: use an alias");
                        let place = place(field, &self.document.sources);
                        return Err(Box::new(located(Error::invalid(message), place)));
                    }
                    self.overlaps(&field.selection_set, number, fields)?;
                }
                Selection::InlineFragment(inline) => self.overlaps(&inline.selection_set, parent, fields)?,
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name) {
                        self.overlaps(&fragment.selection_set, parent, fields)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn directives(&self, directives: &DirectiveList) -> Checked {
        directives.iter().try_for_each(|directive| {
            let definition = self.schema.directive_definitions.get(&directive.name);
            self.arguments(&directive.arguments, definition.map_or(&[], |definition| &definition.arguments))
        })
    }

    fn arguments(&self, given: &[Node<Argument>], definitions: &[Node<InputValueDefinition>]) -> Checked {
        given.iter().try_for_each(|argument| {
            match definitions.iter().find(|definition| definition.name == argument.name) {
                Some(definition) => self.value(&argument.value, &definition.ty, definition.default_value.is_some()),
                None => Ok(()),
            }
        })
    }

    /// A value where `ty` is wanted; `defaulted`: its place has a default of its own.
    fn value(&self, value: &Node<Value>, ty: &Type, defaulted: bool) -> Checked {
        match &**value {
            Value::Variable(name) => self.variable(value, name, ty, defaulted),
            Value::List(items) => items.iter().try_for_each(|item| self.value(item, ty.item_type(), false)),
            Value::Object(fields) => self.object(fields, ty),
            _ => Ok(()),
        }
    }

    fn object(&self, fields: &[(Name, Node<Value>)], ty: &Type) -> Checked {
        let definition = match self.schema.types.get(ty.inner_named_type()) {
            Some(ExtendedType::InputObject(definition)) => Some(definition),
            // Whatever a scalar of a module takes.
            _ => None,
        };
        let mut seen = HashSet::with_capacity(fields.len());
        for (name, value) in fields {
            if !seen.insert(name) {
                return Err(self.breach(value, format!("the input field `{name}` is given twice")));
            }
            if let Some(field) = definition.and_then(|definition| definition.fields.get(name)) {
                self.value(value, &field.ty, field.default_value.is_some())?;
            }
        }
        Ok(())
    }

    fn variable(&self, value: &Node<Value>, name: &Name, wanted: &Type, defaulted: bool) -> Checked {
        // One that does not exist was found by validation.
        let Some(variable) = self.operation.variables.iter().find(|variable| variable.name == *name) else {
            return Ok(());
        };
        if fits(variable, wanted, defaulted) {
            return Ok(());
        }
        Err(self
            .breach(value, format!("variable `${name}` of type `{}` is used where `{wanted}` is wanted", variable.ty)))
    }

    fn breach(&self, value: &Node<Value>, message: String) -> Box<ServerError> {
        Box::new(located(Error::invalid(message), place(value, &self.document.sources)))
    }
}

/// Source: specification, 5.3.2. The order of arguments, and of an object's fields, means nothing.
fn same_arguments(one: &[Node<Argument>], other: &[Node<Argument>]) -> bool {
    one.len() == other.len()
        && one.iter().all(|argument| {
            let same = other.iter().find(|other| other.name == argument.name);
            same.is_some_and(|same| same_value(&argument.value, &same.value))
        })
}

fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| {
                    other.iter().any(|(other_name, other)| name == other_name && same_value(value, other))
                })
        }
        (one, other) => one == other,
    }
}

/// Source: specification, 5.8.5, `IsVariableUsageAllowed`.
fn fits(variable: &VariableDefinition, wanted: &Type, defaulted: bool) -> bool {
    if !wanted.is_non_null() || variable.ty.is_non_null() {
        return variable.ty.is_assignable_to(wanted);
    }
    let own = variable.default_value.as_ref().is_some_and(|value| !value.is_null());
    (own || defaulted) && variable.ty.is_assignable_to(&wanted.clone().nullable())
}
