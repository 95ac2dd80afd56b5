//! Coercion of variables, all of them before anything runs.
//! Source: GraphQL specification, 6.1.2 and «Input Coercion» of each type; where JSON leaves room (`1.0` for an `Int`),
//! graphql-js is followed. apollo-compiler's own coercion refuses `1.0` and repeats whole values in its errors.

use apollo_compiler::Schema;
use apollo_compiler::ast::Type;
use apollo_compiler::schema::{EnumType, ExtendedType, InputObjectType};
use async_graphql::{Name, Value as ConstValue};
use serde_json::{Map, Number, Value};

use super::document::Variable;
use super::values::Values;
use crate::kernel::error::{Error, Result};
use crate::kernel::text::brief;

/// Characters of a client's text that an error repeats.
const SHOWN: usize = 60;

/// Coerces what was given to the types of an operation's variables. Names that it does not have are ignored.
///
/// # Errors
/// [`crate::kernel::error::Code::INVALID_INPUT`] of the first variable that is missing or does not fit, saying where
/// in it.
pub(super) fn coerce(schema: &Schema, variables: &[Variable], given: &Map<String, Value>) -> Result<Values> {
    let mut values = Values::with_capacity(variables.len());
    for variable in variables {
        match (given.get(&*variable.name), &variable.default) {
            (Some(value), _) => {
                let at = At { parent: None, step: Step::Variable(&variable.name) };
                let value = coerce_value(schema, &variable.ty, value, &at)?;
                values.insert(variable.name.clone(), value);
            }
            (None, Some(default)) => {
                values.insert(variable.name.clone(), default.clone());
            }
            (None, None) if variable.ty.is_non_null() => {
                let message = format!("variable ${} of type {} is missing", variable.name, variable.ty);
                return Err(Error::invalid(message));
            }
            (None, None) => {}
        }
    }
    Ok(values)
}

/// Where in a variable: a list that is only walked when there is an error to tell.
struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Variable(&'a str),
    Field(&'a str),
    Item(usize),
}

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Variable(name) => write!(f, "${name}"),
            Step::Field(name) => write!(f, ".{}", brief(name, SHOWN)),
            Step::Item(place) => write!(f, "[{place}]"),
        }
    }
}

fn refuse(at: &At<'_>, what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("variable {at}: {what}"))
}

fn coerce_value(schema: &Schema, ty: &Type, value: &Value, at: &At<'_>) -> Result<ConstValue> {
    if value.is_null() {
        return match ty.is_non_null() {
            true => Err(refuse(at, format_args!("null, where {ty} is wanted"))),
            false => Ok(ConstValue::Null),
        };
    }
    match ty {
        Type::List(inner) | Type::NonNullList(inner) => match value {
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(place, item)| {
                    coerce_value(schema, inner, item, &At { parent: Some(at), step: Step::Item(place) })
                });
                Ok(ConstValue::List(items.collect::<Result<_>>()?))
            }
            // One value stands for a list of it.
            single => Ok(ConstValue::List(vec![coerce_value(schema, inner, single, at)?])),
        },
        Type::Named(name) | Type::NonNullNamed(name) => match schema.types.get(name) {
            Some(ExtendedType::Scalar(_)) => scalar(name, value, at),
            Some(ExtendedType::Enum(definition)) => enum_value(definition, value, at),
            Some(ExtendedType::InputObject(definition)) => input_object(schema, definition, value, at),
            _ => Err(Error::internal(format!("variable {at} has type {name}, which validation let pass"))),
        },
    }
}

fn scalar(name: &str, value: &Value, at: &At<'_>) -> Result<ConstValue> {
    let fits = match (name, value) {
        ("Int", Value::Number(number)) => integer(number).and_then(|n| i32::try_from(n).ok()).map(ConstValue::from),
        ("Float", Value::Number(number)) => Some(ConstValue::Number(number.clone())),
        ("String", Value::String(text)) => Some(ConstValue::String(text.clone())),
        ("ID", Value::String(text)) => Some(ConstValue::String(text.clone())),
        ("ID", Value::Number(number)) => integer(number).map(|n| ConstValue::String(n.to_string())),
        ("Boolean", Value::Bool(boolean)) => Some(ConstValue::Boolean(*boolean)),
        ("Int" | "Float" | "String" | "ID" | "Boolean", _) => None,
        // What a scalar of a module takes is its own to say.
        (_, other) => ConstValue::from_json(other.clone()).ok(),
    };
    fits.ok_or_else(|| refuse(at, format_args!("{}, where {name} is wanted", shown(value))))
}

/// A whole number, also when JSON writes it as `1.0` or `1e3`.
#[expect(clippy::cast_possible_truncation, reason = "whole and within the bounds of exact integers")]
fn integer(number: &Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    number.as_i64().or_else(|| number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() <= EXACT).map(|n| n as i64))
}

fn enum_value(definition: &EnumType, value: &Value, at: &At<'_>) -> Result<ConstValue> {
    match value {
        Value::String(name) if definition.values.contains_key(name.as_str()) => Ok(ConstValue::Enum(Name::new(name))),
        other => Err(refuse(at, format_args!("{}, where a {} is wanted", shown(other), definition.name))),
    }
}

fn input_object(schema: &Schema, definition: &InputObjectType, value: &Value, at: &At<'_>) -> Result<ConstValue> {
    let Value::Object(given) = value else {
        return Err(refuse(at, format_args!("{}, where a {} is wanted", shown(value), definition.name)));
    };
    if let Some(name) = given.keys().find(|name| !definition.fields.contains_key(name.as_str())) {
        return Err(refuse(at, format_args!("{} has no field {}", definition.name, brief(name, SHOWN))));
    }
    let mut fields = async_graphql::indexmap::IndexMap::with_capacity(given.len());
    for (name, field) in &definition.fields {
        match given.get(name.as_str()) {
            Some(value) => {
                let at = At { parent: Some(at), step: Step::Field(name) };
                fields.insert(Name::new(name), coerce_value(schema, &field.ty, value, &at)?);
            }
            // A field's default is its resolver's to fill in.
            None if field.ty.is_non_null() && field.default_value.is_none() => {
                return Err(refuse(at, format_args!("{}.{name} is missing", definition.name)));
            }
            None => {}
        }
    }
    Ok(ConstValue::Object(fields))
}

/// A value in an error: short, whatever was sent.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", brief(text, SHOWN)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        plain => plain.to_string(),
    }
}
