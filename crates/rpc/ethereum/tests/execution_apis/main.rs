//! The official exchanges of `ethereum/execution-apis`, each file on a fresh node with their chain.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a skipped test must be seen")]

mod follow;
mod node;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use node::Node;

/// The folder of the exchanges, if it is there. With `CHAINWRIGHT_REQUIRE_VECTORS=1` it has to be.
fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/vectors");
    let folder = PathBuf::from(std::env::var("CHAINWRIGHT_VECTORS").unwrap_or_else(|_| beside.into()));
    let folder = folder.join("ethereum/execution-apis");
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("CHAINWRIGHT_REQUIRE_VECTORS").is_ok_and(|value| value == "1");
    assert!(!required, "vectors are required and missing: {}", folder.display());
    eprintln!("SKIPPED: no vectors at {}", folder.display());
    None
}

/// `method/name` of all exchanges, in order.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for method in std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir())
    {
        for file in std::fs::read_dir(method.path()).unwrap().map(Result::unwrap) {
            let name = file.file_name().into_string().unwrap();
            if let Some(name) = name.strip_suffix(".io") {
                found.push(format!("{}/{name}", method.file_name().into_string().unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// What a schema would look at first: of which JSON type a result is, and which fields it has.
fn shape(reply: &Value) -> Value {
    match &reply["result"] {
        Value::Object(fields) => fields.keys().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        Value::Array(values) => Value::from(values.len()),
        Value::String(_) => Value::from("text"),
        other => other.clone(),
    }
}

/// Whether a file's requests are answered alike, or the first difference.
fn check(folder: &Path, name: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(folder.join(name).with_extension("io")).unwrap();
    let only_shape = text.lines().any(|line| line.starts_with("// speconly"));
    let node = Node::start(folder);
    let mut reply = Value::Null;
    for line in text.lines() {
        if let Some(request) = line.strip_prefix(">>") {
            reply = node.reply(&serde_json::from_str(request).unwrap());
        }
        let Some(expected) = line.strip_prefix("<<") else { continue };
        let expected: Value = serde_json::from_str(expected).unwrap();
        let alike = if only_shape {
            let kind = |value: &Value| value.get("error").map(|error| error["code"].clone());
            kind(&reply) == kind(&expected)
                && (expected.get("error").is_some() || shape(&reply) == shape(&expected))
        } else {
            reply == expected
        };
        if !alike {
            let cut = |value: &Value| value.to_string().chars().take(1500).collect::<String>();
            return Err(format!("{name}\n  got      {}\n  expected {}", cut(&reply), cut(&expected)));
        }
    }
    Ok(())
}

#[test]
fn exchanges_of_the_execution_apis_are_answered_alike() {
    let Some(folder) = folder() else { return };
    let (files, next) = (files(&folder), AtomicUsize::new(0));
    let different = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(name) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(difference) = check(&folder, name) {
                        eprintln!("DIFFERENT {difference}");
                        different.lock().unwrap().insert(name.as_str());
                    }
                }
            });
        }
    });
    let different = different.into_inner().unwrap();
    eprintln!("{} of {} files are answered alike", files.len() - different.len(), files.len());
    assert!(different.is_empty(), "answered differently: {different:?}");
}
