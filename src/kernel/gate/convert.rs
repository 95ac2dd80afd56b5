//! From apollo-compiler's tree of a valid document to async-graphql's, which executes it: no text is parsed twice, and
//! nothing else than what was validated is executed.

use std::sync::Arc;

use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Node, ast, executable};
use async_graphql::parser::types::{
    Directive, Field, FragmentDefinition, FragmentSpread, InlineFragment, OperationDefinition, OperationType,
    Selection, SelectionSet, TypeCondition,
};
use async_graphql::{Name, Pos, Positioned};

use super::cost::{Cost, Times};
use super::document::{Document, Fragment, Operation, Variable};
use super::persisted::{self, Hash};
use super::place;
use super::values::{self, Uses};

/// Converts a valid document.
pub(super) fn document(valid: &Valid<ExecutableDocument>, digest: Hash, trusted: bool) -> Document {
    let mut converter = Converter { valid, bytes: 0, introspecting: false, uses: Uses::new() };
    let fragments = valid.fragments.values().map(|fragment| converter.fragment(fragment)).collect();
    let operations = valid.operations.iter().map(|operation| converter.operation(operation)).collect();
    let bytes = converter.bytes + size_of::<Document>();
    Document { operations, fragments, digest, hash: persisted::short(&digest), trusted, bytes }
}

struct Converter<'a> {
    valid: &'a ExecutableDocument,
    /// Bytes of what was converted so far.
    bytes: usize,
    /// Variables of the operation or fragment under way.
    uses: Uses,
    /// Whether the selections under way are inside `__schema` or `__type`.
    introspecting: bool,
}

impl Converter<'_> {
    fn operation(&mut self, operation: &executable::Operation) -> Operation {
        let (selection_set, cost) = self.selections(&operation.selection_set);
        let mut fragments = Vec::new();
        self.reach(&operation.selection_set, &mut fragments);
        self.bytes += size_of::<Operation>() + fragments.len() * size_of::<usize>();
        let kind = match operation.operation_type {
            ast::OperationType::Query => OperationType::Query,
            ast::OperationType::Mutation => OperationType::Mutation,
            ast::OperationType::Subscription => OperationType::Subscription,
        };
        let introspects =
            operation.root_fields(self.valid).any(|field| matches!(field.name.as_str(), "__schema" | "__type"));
        let definition =
            OperationDefinition { ty: kind, variable_definitions: Vec::new(), directives: Vec::new(), selection_set };
        Operation {
            uses: self.take_uses(),
            name: operation.name.as_ref().map(|name| Arc::from(name.as_str())),
            kind,
            variables: operation.variables.iter().map(|variable| self.variable(variable)).collect(),
            definition: Positioned::new(definition, Pos::default()),
            fragments,
            cost,
            introspects,
        }
    }

    fn variable(&mut self, variable: &ast::VariableDefinition) -> Variable {
        let default = variable.default_value.as_ref().map(|value| values::convert(value));
        self.bytes += size_of::<Variable>() + variable.name.len() + default.as_ref().map_or(0, values::bytes);
        Variable {
            name: Name::new(&variable.name),
            ty: (*variable.ty).clone(),
            default: default.and_then(async_graphql_value::Value::into_const),
        }
    }

    fn fragment(&mut self, fragment: &executable::Fragment) -> Fragment {
        let (selection_set, cost) = self.selections(&fragment.selection_set);
        self.bytes += size_of::<Fragment>() + 2 * fragment.name.len();
        let definition = FragmentDefinition {
            type_condition: condition(&fragment.selection_set.ty),
            directives: Vec::new(),
            selection_set,
        };
        let (name, uses) = (Name::new(&fragment.name), self.take_uses());
        Fragment { name, definition: Positioned::new(definition, Pos::default()), cost, uses }
    }

    fn take_uses(&mut self) -> Uses {
        self.bytes += self.uses.keys().map(|name| 64 + name.len()).sum::<usize>();
        std::mem::take(&mut self.uses)
    }

    fn selections(&mut self, set: &executable::SelectionSet) -> (Positioned<SelectionSet>, Vec<Cost>) {
        let mut items = Vec::with_capacity(set.selections.len());
        let mut costs = Vec::with_capacity(set.selections.len());
        for selection in &set.selections {
            let (item, cost) = match selection {
                executable::Selection::Field(field) => self.field(field, &set.ty),
                executable::Selection::FragmentSpread(spread) => self.spread(spread),
                executable::Selection::InlineFragment(inline) => self.inline(inline),
            };
            items.push(item);
            costs.push(cost);
        }
        self.bytes += items.len() * (size_of::<Positioned<Selection>>() + size_of::<Cost>());
        (Positioned::new(SelectionSet { items }, Pos::default()), costs)
    }

    fn field(&mut self, field: &Node<executable::Field>, parent: &str) -> (Positioned<Selection>, Cost) {
        let place = self.place(field);
        let outside = self.introspecting;
        self.introspecting |= field.name.starts_with("__");
        // The schema is as large as it is, and lists in lists of it are limited by themselves.
        let times = (!self.introspecting).then(|| Times::of(field, parent));
        let (selection_set, cost) = self.selections(&field.selection_set);
        self.introspecting = outside;
        let arguments = field.arguments.iter().map(|argument| {
            let place = self.place(argument);
            (
                Positioned::new(Name::new(&argument.name), place),
                Positioned::new(values::convert(&argument.value), place),
            )
        });
        let arguments: Vec<_> = arguments.collect();
        arguments.iter().for_each(|(_, value)| values::count_uses(&value.node, &mut self.uses));
        self.bytes += field.name.len()
            + field.alias.as_ref().map_or(0, |alias| alias.len())
            + arguments.iter().map(|(name, value)| 96 + name.node.len() + values::bytes(&value.node)).sum::<usize>()
            + times.as_ref().map_or(0, Times::bytes);
        let converted = Field {
            alias: field.alias.as_ref().map(|alias| Positioned::new(Name::new(alias), place)),
            name: Positioned::new(Name::new(&field.name), place),
            arguments,
            directives: self.directives(&field.directives),
            selection_set,
        };
        let selection = Selection::Field(Positioned::new(converted, place));
        let cost = if cost.is_empty() { Cost::leaf(&field.name) } else { Cost::Field(times.unwrap_or_default(), cost) };
        (Positioned::new(selection, place), cost)
    }

    fn spread(&mut self, spread: &Node<executable::FragmentSpread>) -> (Positioned<Selection>, Cost) {
        let place = self.place(spread);
        let fragment_name = Positioned::new(Name::new(&spread.fragment_name), place);
        self.bytes += spread.fragment_name.len();
        let converted = FragmentSpread { fragment_name, directives: self.directives(&spread.directives) };
        let selection = Selection::FragmentSpread(Positioned::new(converted, place));
        let cost = Cost::Spread(self.valid.fragments.get_index_of(&spread.fragment_name).unwrap_or(usize::MAX));
        (Positioned::new(selection, place), cost)
    }

    fn inline(&mut self, inline: &Node<executable::InlineFragment>) -> (Positioned<Selection>, Cost) {
        let place = self.place(inline);
        let (selection_set, cost) = self.selections(&inline.selection_set);
        let converted = InlineFragment {
            type_condition: inline.type_condition.as_ref().map(|on| condition(on)),
            directives: self.directives(&inline.directives),
            selection_set,
        };
        let selection = Selection::InlineFragment(Positioned::new(converted, place));
        (Positioned::new(selection, place), Cost::Inline(cost))
    }

    fn directives(&mut self, directives: &ast::DirectiveList) -> Vec<Positioned<Directive>> {
        let converted = directives.iter().map(|directive| {
            let place = self.place(directive);
            let arguments = directive.arguments.iter().map(|argument| {
                let value = Positioned::new(values::convert(&argument.value), place);
                (Positioned::new(Name::new(&argument.name), place), value)
            });
            let name = Positioned::new(Name::new(&directive.name), place);
            Positioned::new(Directive { name, arguments: arguments.collect() }, place)
        });
        let converted: Vec<_> = converted.collect();
        self.bytes += converted.len() * 256;
        converted
    }

    /// Adds the fragments that selections lead to, each once.
    fn reach(&self, set: &executable::SelectionSet, reached: &mut Vec<usize>) {
        for selection in &set.selections {
            match selection {
                executable::Selection::Field(field) => self.reach(&field.selection_set, reached),
                executable::Selection::InlineFragment(inline) => self.reach(&inline.selection_set, reached),
                executable::Selection::FragmentSpread(spread) => {
                    let Some((place, _, fragment)) = self.valid.fragments.get_full(&spread.fragment_name) else {
                        continue;
                    };
                    if !reached.contains(&place) {
                        reached.push(place);
                        self.reach(&fragment.selection_set, reached);
                    }
                }
            }
        }
    }

    fn place<T>(&self, node: &Node<T>) -> Pos {
        place(node, &self.valid.sources).unwrap_or_default()
    }
}

fn condition(on: &str) -> Positioned<TypeCondition> {
    let on = Positioned::new(Name::new(on), Pos::default());
    Positioned::new(TypeCondition { on }, Pos::default())
}
