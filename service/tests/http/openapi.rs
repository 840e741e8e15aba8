//! `/-/admin/openapi.json`: the description is of what is there, and of all of it.

use crate::harness::Bench;
use serde_json::Value;
use std::collections::BTreeSet;

const METHODS: [&str; 5] = ["get", "head", "post", "put", "delete"];

fn document(bench: &mut Bench) -> Value {
    let reply = bench.admin("GET", "/-/admin/openapi.json", "", "");
    assert_eq!(
        (reply.status, reply.the("Content-Type")),
        (200, "application/json")
    );
    serde_json::from_str(reply.text()).expect("JSON")
}

/// A target of a path, with something for each of its parameters.
fn target(path: &str) -> String {
    let examples = [
        ("bucket", "b"),
        ("key", "k"),
        ("key64", "aw"),
        ("snapshot", "s"),
    ];
    let others = [("id", "1"), ("name", "no-such-key")];
    let mut target = path.to_owned();
    for (name, example) in examples.into_iter().chain(others) {
        target = target.replace(&format!("{{{name}}}"), example);
    }
    assert!(!target.contains('{'), "{target}");
    target
}

#[test]
fn each_path_has_the_methods_that_it_is_said_to_have() {
    let mut bench = Bench::open();
    let document = document(&mut bench);
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 20, "{}", paths.len());
    for (path, item) in paths {
        let item = item.as_object().expect("an object");
        let is_admin = item.get("servers").is_some();
        assert_eq!(is_admin, path.starts_with("/-/admin/"), "{path}");
        let reply = match is_admin {
            true => bench.admin("OPTIONS", &target(path), "", ""),
            false => bench.with("OPTIONS", &target(path), ""),
        };
        let allowed: BTreeSet<String> = reply.the("Allow").split(", ").map(str::to_owned).collect();
        let said = METHODS.iter().filter(|method| item.contains_key(**method));
        let mut said: BTreeSet<String> = said.map(|method| method.to_uppercase()).collect();
        // RFC 9110 section 9.3.2: who has GET has HEAD.
        if said.contains("GET") {
            said.insert("HEAD".into());
        }
        said.insert("OPTIONS".into());
        assert_eq!(allowed, said, "{path}");
    }
}

/// Names of operations are used by generated clients: each is one.
#[test]
fn operations_have_names_and_their_parameters_are_there() {
    let mut bench = Bench::open();
    let document = document(&mut bench);
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{name}");
            let parameters = operation["parameters"].as_array().expect("a list");
            let mut in_path = 0;
            for parameter in parameters {
                let reference = parameter["$ref"].as_str().expect("a reference");
                let found = document.pointer(reference.trim_start_matches('#'));
                let found = found.unwrap_or_else(|| panic!("{reference}"));
                if found["in"] == "path" {
                    in_path += 1;
                    let name = found["name"].as_str().expect("a name");
                    assert!(path.contains(&format!("{{{name}}}")), "{path}: {name}");
                }
            }
            assert_eq!(in_path, path.matches('{').count(), "{path}");
        }
    }
}

#[test]
fn every_problem_that_is_listed_has_its_page() {
    let mut bench = Bench::open();
    let document = document(&mut bench);
    let types = document.pointer("/components/schemas/Problem/properties/type/enum");
    let types = types.and_then(Value::as_array).expect("a list");
    assert!(types.len() > 50);
    for name in types {
        let page = bench.get(name.as_str().expect("text"));
        assert_eq!(page.status, 200, "{name}");
    }
}
