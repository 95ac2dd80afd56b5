//! Limits that need no schema, checked before validation: each fragment is measured once, however often it is spread,
//! so that a document of 2 KB that stands for 2^25 fields is refused in microseconds.

use std::collections::HashMap;

use apollo_compiler::ast::{Definition, DirectiveList, Document, FragmentDefinition, Selection};

use super::limits::Limits;
use crate::kernel::error::{Code, Error, Result};

/// So many operations of the largest kind may be in one document.
const OPERATIONS: u32 = 4;

/// What a selection set stands for, its spreads expanded. Sums saturate.
#[derive(Clone, Copy, Default)]
struct Shape {
    fields: u64,
    aliases: u64,
    directives: u64,
    depth: u32,
    nesting: u32,
}

impl Shape {
    fn beside(&mut self, other: Self) {
        self.fields = self.fields.saturating_add(other.fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.depth = self.depth.max(other.depth);
        self.nesting = self.nesting.max(other.nesting);
    }
}

enum Measured {
    /// On the way down: a spread that leads back here is a cycle, and validation names it.
    Open,
    Done(Shape),
}

/// Measures fragments, each once.
struct Measure<'a> {
    fragments: HashMap<&'a str, &'a FragmentDefinition>,
    measured: HashMap<&'a str, Measured>,
    nesting_most: u32,
}

/// Checks every operation of a document, and every fragment, used or not.
///
/// # Errors
/// [`Code::TOO_COMPLEX`], with the count and the limit.
pub(super) fn check(document: &Document, limits: &Limits) -> Result<()> {
    let fragments = document.definitions.iter().filter_map(|definition| match definition {
        Definition::FragmentDefinition(fragment) => Some((fragment.name.as_str(), &**fragment)),
        _ => None,
    });
    let mut measure =
        Measure { fragments: fragments.collect(), measured: HashMap::new(), nesting_most: limits.nesting() };
    let mut all_fields = 0_u64;
    for definition in &document.definitions {
        let shape = match definition {
            Definition::OperationDefinition(operation) => {
                let mut shape = measure.selections(&operation.selection_set, 0)?;
                shape.directives = shape.directives.saturating_add(count(&operation.directives));
                all_fields = all_fields.saturating_add(shape.fields);
                shape
            }
            Definition::FragmentDefinition(fragment) => measure.fragment(&fragment.name, 0)?,
            _ => continue,
        };
        hold("fields", shape.fields, limits.fields)?;
        hold("levels of fields", shape.depth.into(), limits.depth)?;
        hold("aliases", shape.aliases, limits.aliases)?;
        hold("directives", shape.directives, limits.directives)?;
    }
    // Validation looks at a fragment once for each operation that spreads it.
    hold("fields in all its operations", all_fields, limits.fields.saturating_mul(OPERATIONS))
}

fn hold(what: &str, count: u64, most: u32) -> Result<()> {
    if count <= u64::from(most) {
        return Ok(());
    }
    Err(Error::new(Code::TOO_COMPLEX, format!("the document has {count} {what}, and {most} is the most")))
}

fn count(directives: &DirectiveList) -> u64 {
    directives.len() as u64
}

impl<'a> Measure<'a> {
    fn selections(&mut self, selections: &'a [Selection], nesting: u32) -> Result<Shape> {
        hold("levels", nesting.into(), self.nesting_most)?;
        let mut all = Shape::default();
        for selection in selections {
            let (mut inner, directives) = match selection {
                Selection::Field(field) => {
                    let mut inner = self.selections(&field.selection_set, nesting + 1)?;
                    inner.fields = inner.fields.saturating_add(1);
                    inner.aliases = inner.aliases.saturating_add(u64::from(field.alias.is_some()));
                    inner.depth += 1;
                    (inner, &field.directives)
                }
                Selection::FragmentSpread(spread) => {
                    (self.fragment(&spread.fragment_name, nesting + 1)?, &spread.directives)
                }
                Selection::InlineFragment(inline) => {
                    (self.selections(&inline.selection_set, nesting + 1)?, &inline.directives)
                }
            };
            inner.directives = inner.directives.saturating_add(count(directives));
            inner.nesting += 1;
            all.beside(inner);
        }
        Ok(all)
    }

    fn fragment(&mut self, name: &str, nesting: u32) -> Result<Shape> {
        match self.measured.get(name) {
            Some(Measured::Open) => return Ok(Shape::default()),
            Some(Measured::Done(shape)) => {
                hold("levels", u64::from(nesting) + u64::from(shape.nesting), self.nesting_most)?;
                return Ok(*shape);
            }
            None => {}
        }
        // One that does not exist is for validation to name.
        let Some(fragment) = self.fragments.get(name).copied() else { return Ok(Shape::default()) };
        self.measured.insert(&fragment.name, Measured::Open);
        let mut shape = self.selections(&fragment.selection_set, nesting)?;
        shape.directives = shape.directives.saturating_add(count(&fragment.directives));
        self.measured.insert(&fragment.name, Measured::Done(shape));
        Ok(shape)
    }
}
