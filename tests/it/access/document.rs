//! `docs/access.md`, made of the rules and the tables.

use std::fmt::Write as _;

use tally::app::{App as _, Tally};
use tally::kernel::auth::{Access, Root};
use tally::kernel::module::Modules;

use super::tables::{COLUMNS, FIELDS, OTHERS, PATHS, VIEWER, YES};
use crate::command_line::same_or_blessed;

const HOW: &str = "TALLY_TEST_BLESS=1 cargo test --test it docs_access";

/// The kinds of nodes of tally's own modules, and their rules.
pub(super) fn nodes() -> Vec<(&'static str, Access)> {
    let modules = Tally::modules().into_iter().flat_map(|module| (module.nodes)());
    modules.map(|kind| (kind.prefix, kind.access)).collect()
}

/// Who may do what to another's data, for one field.
fn of_others(field: &str) -> String {
    let lines = OTHERS.iter().filter(|(named, ..)| *named == field).map(|(_, argument, _, gets)| {
        let may = COLUMNS.iter().zip(gets).filter(|(_, gets)| **gets == YES).map(|(column, _)| *column);
        let argument = if argument.contains(' ') { (*argument).to_owned() } else { format!("`{argument}`") };
        format!("{argument}: {}", may.collect::<Vec<_>>().join(", "))
    });
    lines.collect::<Vec<_>>().join("; ")
}

fn document() -> String {
    let modules = Modules::new(Tally::modules()).map_err(|error| error.for_operator()).unwrap();
    let mut text = format!(
        "# Who may do what\n\nMade of the rules in the code; the tables of `tests/it/access/tables.rs` try each line for \
         every role. After a change\nrun `{HOW}` and look at it: a line that goes\nis a decision.\n\nADMIN may do \
         everything. A token that does not hold refuses the whole GraphQL request, even where none is needed.\n\n\
         | root field | for | for another user, or with more weight |\n|---|---|---|\n"
    );
    for (root, field, ..) in FIELDS {
        let (root, name) = match *root {
            "query" => (Root::Query, "Query"),
            "mutation" => (Root::Mutation, "Mutation"),
            _ => (Root::Subscription, "Subscription"),
        };
        let rule = &modules.access.0[&(root, (*field).to_owned())];
        let _ = writeln!(text, "| `{name}.{field}` | {rule} | {} |", of_others(field));
    }
    text.push_str("\n`me` is the token's own, and null without one:\n\n| field of `me` | for |\n|---|---|\n");
    for (field, _) in VIEWER {
        let _ = writeln!(text, "| `{field}` | {} |", Access::SignedIn);
    }
    text.push_str("\n`node(id:)` finds what these rules let it:\n\n| ids | for |\n|---|---|\n");
    for (prefix, access) in nodes() {
        let _ = writeln!(text, "| `{prefix}_…` | {access} |");
    }
    text.push_str("\nPaths that are not GraphQL look at no token:\n\n| path | what it is | for |\n|---|---|---|\n");
    for (path, what, status) in PATHS {
        let who = if *status == 200 { Access::Anyone.to_string() } else { "nobody".to_owned() };
        let _ = writeln!(text, "| `{path}` | {what} | {who} |");
    }
    text
}

#[test]
fn docs_access_md_is_that_of_the_code_or_bless_it() {
    same_or_blessed("docs/access.md", &document(), HOW);
}
