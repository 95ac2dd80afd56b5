//! Values of a document: out of apollo-compiler's tree, and with variables put in place.

use std::collections::HashMap;

use apollo_compiler::ast;
use async_graphql::{Name, Positioned, Value as ConstValue};
use async_graphql_value::Value;

/// Coerced variables. One that was not given and has no default is absent, which is not null.
pub(super) type Values = HashMap<Name, ConstValue>;

/// How often variables stand in a part of a document.
pub(super) type Uses = HashMap<Name, usize>;

/// Counts the variables of a value.
pub(super) fn count_uses(value: &Value, uses: &mut Uses) {
    match value {
        Value::Variable(name) => *uses.entry(name.clone()).or_default() += 1,
        Value::List(items) => items.iter().for_each(|item| count_uses(item, uses)),
        Value::Object(fields) => fields.values().for_each(|value| count_uses(value, uses)),
        _ => {}
    }
}

/// A literal or a variable.
pub(super) fn convert(value: &ast::Value) -> Value {
    match value {
        ast::Value::Null => Value::Null,
        ast::Value::Enum(name) => Value::Enum(Name::new(name)),
        ast::Value::Variable(name) => Value::Variable(Name::new(name)),
        ast::Value::String(text) => Value::String(text.clone()),
        ast::Value::Boolean(boolean) => Value::Boolean(*boolean),
        ast::Value::Int(int) => number(int.as_str()),
        ast::Value::Float(float) => number(float.as_str()),
        ast::Value::List(items) => Value::List(items.iter().map(|item| convert(item)).collect()),
        ast::Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (Name::new(name), convert(value))).collect())
        }
    }
}

/// A number that fits no type of the schema stays what it was written as, and no resolver takes it.
fn number(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Number)
}

/// A value without its variables; `None` where it is a variable that is absent.
pub(super) fn resolve(value: &Value, values: &Values) -> Option<ConstValue> {
    Some(match value {
        Value::Variable(name) => values.get(name)?.clone(),
        // An absent variable is null in a list, and no field at all in an object (specification, 3.10 and 3.11).
        Value::List(items) => {
            ConstValue::List(items.iter().map(|item| resolve(item, values).unwrap_or_default()).collect())
        }
        Value::Object(fields) => ConstValue::Object(
            fields.iter().filter_map(|(name, value)| Some((name.clone(), resolve(value, values)?))).collect(),
        ),
        constant => constant.clone().into_const()?,
    })
}

type Arguments = Vec<(Positioned<Name>, Positioned<Value>)>;

/// A field's arguments without variables; one whose variable is absent is left out (specification, 6.4.1).
pub(super) fn arguments(arguments: &Arguments, values: &Values) -> Arguments {
    let given = arguments.iter().filter_map(|(name, value)| {
        let resolved = resolve(&value.node, values)?;
        Some((name.clone(), value.position_node(resolved.into_value())))
    });
    given.collect()
}

/// Bytes that a value takes beside its own place.
pub(super) fn bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.capacity(),
        Value::Enum(name) | Value::Variable(name) => name.len() + 16,
        Value::List(items) => items.iter().map(|item| size_of::<Value>() + bytes(item)).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| 2 * size_of::<(Name, Value)>() + name.len() + bytes(value)).sum()
        }
        _ => 0,
    }
}

/// The same of a value without variables.
pub(super) fn const_bytes(value: &ConstValue) -> usize {
    match value {
        ConstValue::String(text) => text.capacity(),
        ConstValue::List(items) => items.iter().map(|item| size_of::<ConstValue>() + const_bytes(item)).sum(),
        ConstValue::Object(fields) => {
            fields.iter().map(|(name, value)| 2 * size_of::<(Name, Value)>() + name.len() + const_bytes(value)).sum()
        }
        _ => 0,
    }
}
