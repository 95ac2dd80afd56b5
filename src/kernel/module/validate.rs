//! What the registry refuses: names that two declarations share, fields without rules, dependencies that do not fit.

use std::collections::{HashMap, HashSet};

use super::ModuleDecl;
use crate::kernel::auth::{AccessTable, Root};
use crate::kernel::events::Consumes;
use crate::kernel::graphql::CORE_ACCESS;

pub(super) fn check_names(list: &[ModuleDecl], problems: &mut Vec<String>) {
    let mut owners: HashMap<String, &str> = HashMap::new();
    let mut types: HashMap<String, (&str, &str)> = HashMap::new();
    // A merged root takes a field's first owner and says nothing of the second: the kernel's own count too.
    owners.extend(CORE_ACCESS.iter().map(|(root, field, _)| (format!("{root:?}.{field}"), "kernel")));
    owners.insert("check outbox".to_owned(), "kernel");
    for module in list {
        let mut names = vec![format!("module {}", module.name)];
        names.extend((module.roots)().into_iter().map(|(root, field)| format!("{root:?}.{field}")));
        names.extend((module.viewer_fields)().into_iter().map(|field| format!("Viewer.{field}")));
        names.extend((module.nodes)().iter().map(|node| format!("id prefix {}", node.prefix)));
        names.extend((module.checks)().iter().map(|check| format!("check {}", check.name())));
        names.extend((module.explanations)().iter().map(|explained| format!("explanation {}", explained.figure())));
        names.extend((module.consumers)().iter().map(|declared| format!("consumer {}", declared.consumer)));
        for name in names {
            if let Some(owner) = owners.insert(name.clone(), module.name) {
                problems.push(format!("{name} is declared by {owner} and by {}", module.name));
            }
        }
        for (name, rust) in (module.types)() {
            match types.get(&name) {
                Some((owner, other)) if *other != rust => {
                    problems
                        .push(format!("type {name} is declared by {owner} ({other}) and by {} ({rust})", module.name));
                }
                _ => {
                    types.insert(name, (module.name, rust));
                }
            }
        }
    }
}

pub(super) fn check_access(module: &ModuleDecl, access: &mut AccessTable, problems: &mut Vec<String>) {
    let roots: HashSet<(Root, String)> = (module.roots)().into_iter().collect();
    for (root, field, rule) in module.access {
        let name = (*root, (*field).to_owned());
        if !roots.contains(&name) {
            problems.push(format!("{}: a rule for {root:?}.{field}, which does not exist", module.name));
        }
        access.0.insert(name, *rule);
    }
    for (root, field) in roots {
        if !module.access.iter().any(|(r, f, _)| *r == root && *f == field) {
            problems.push(format!("{}: {root:?}.{field} does not say who may use it", module.name));
        }
    }
}

pub(super) fn check_consumers(module: &ModuleDecl, problems: &mut Vec<String>) {
    for Consumes { consumer, kinds } in (module.consumers)() {
        let distinct: HashSet<_> = kinds.iter().collect();
        if kinds.is_empty() || distinct.len() < kinds.len() {
            problems.push(format!("{}: consumer {consumer} takes no kind, or one twice", module.name));
        }
    }
}

pub(super) fn in_order(mut left: Vec<ModuleDecl>, problems: &mut Vec<String>) -> Vec<ModuleDecl> {
    let names: HashSet<&str> = left.iter().map(|module| module.name).collect();
    for module in &left {
        for name in module.depends_on.iter().filter(|name| !names.contains(**name)) {
            problems.push(format!("{} depends on {name}, which is not in the list", module.name));
        }
    }
    let mut ordered: Vec<ModuleDecl> = Vec::new();
    while !left.is_empty() {
        let done = |name: &str| !names.contains(name) || ordered.iter().any(|done| done.name == name);
        let ready = left.iter().position(|module| module.depends_on.iter().all(|name| done(name)));
        match ready {
            Some(at) => ordered.push(left.remove(at)),
            None => {
                let stuck: Vec<_> = left.iter().map(|module| module.name).collect();
                problems.push(format!("dependencies go in a circle among: {}", stuck.join(", ")));
                break;
            }
        }
    }
    ordered
}
