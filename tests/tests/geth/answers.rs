//! Both asked the same, and their answers laid beside each other.

use std::collections::{BTreeMap, BTreeSet};

use chainwright_tests::Rpc;
use serde_json::{Value, json};

use crate::explained::explained;
use crate::questions::Question;

/// What a node says: a result or an error, as it stands in the reply.
fn answer(rpc: &Rpc, (method, params): &Question) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (status, body) = rpc.post("/", &request.to_string()).unwrap();
    let reply: Result<Value, _> = serde_json::from_str(&body);
    let mut reply = reply.unwrap_or_else(|_| panic!("{method}: status {status}: {body}"));
    let fields = reply.as_object_mut().unwrap();
    fields.remove("id");
    fields.remove("jsonrpc");
    // geth writes these in an order of chance.
    let lists = reply.pointer_mut("/result/accessList").and_then(Value::as_array_mut);
    for item in lists.into_iter().flatten() {
        if let Some(keys) = item["storageKeys"].as_array_mut() {
            keys.sort_by_key(Value::to_string);
        }
    }
    reply
}

/// A place where two answers differ, and what stands there.
pub(crate) struct Difference<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: String,
    pub(crate) ours: Option<&'a Value>,
    pub(crate) theirs: Option<&'a Value>,
}

/// All places where two values differ.
fn differences<'a>(at: Difference<'a>, found: &mut Vec<Difference<'a>>) {
    let Difference { method, path, ours, theirs } = &at;
    let mut inside = |name: String, ours: Option<&'a Value>, theirs: Option<&'a Value>| {
        differences(Difference { method, path: format!("{path}{name}"), ours, theirs }, found);
    };
    match (ours, theirs) {
        _ if ours == theirs => {}
        (Some(Value::Object(mine)), Some(Value::Object(other))) => {
            for key in mine.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                inside(format!(".{key}"), mine.get(key), other.get(key));
            }
        }
        (Some(Value::Array(mine)), Some(Value::Array(other))) if mine.len() == other.len() => {
            for (number, (mine, other)) in mine.iter().zip(other).enumerate() {
                inside(format!("[{number}]"), Some(mine), Some(other));
            }
        }
        _ => found.push(at),
    }
}

impl core::fmt::Display for Difference<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        let (mine, other) = (text(self.ours), text(self.theirs));
        let same = mine.bytes().zip(other.bytes()).take_while(|(mine, other)| mine == other).count();
        // Long ones from a little before the place where they part.
        let from = same.saturating_sub(70);
        let cut = |text: &str| text.chars().skip(from).take(260).collect::<String>();
        write!(out, "{}: ours {}, theirs {}", self.path, cut(&mine), cut(&other))?;
        if from > 0 { write!(out, " (from byte {from} on)") } else { Ok(()) }
    }
}

/// An explanation that holds for few steps of a trace, and not for all of them.
const COSTS: &str = "costs-of-failed-steps";
const COSTS_MAX: usize = 3;

/// What was asked and what was answered differently.
#[derive(Default)]
pub(crate) struct Comparison {
    asked: usize,
    /// By method: how often it was asked, and answered differently.
    by_method: BTreeMap<&'static str, (usize, usize)>,
    /// How often each explanation was needed.
    explained: BTreeMap<&'static str, usize>,
    /// Everything without an explanation.
    pub(crate) unexplained: Vec<String>,
}

impl Comparison {
    pub(crate) fn ask(&mut self, ours: &Rpc, theirs: &Rpc, question: &Question) {
        let (mine, other) = (answer(ours, question), answer(theirs, question));
        let mut found = Vec::new();
        let whole =
            Difference { method: question.0, path: String::new(), ours: Some(&mine), theirs: Some(&other) };
        differences(whole, &mut found);
        let (mut unexplained, mut costs) = (Vec::new(), 0);
        for difference in &found {
            match explained(difference, &question.1) {
                Some(COSTS) if costs == COSTS_MAX => unexplained.push(difference.to_string()),
                Some(reason) => {
                    costs += usize::from(reason == COSTS);
                    *self.explained.entry(reason).or_default() += 1;
                }
                None => unexplained.push(difference.to_string()),
            }
        }
        self.asked += 1;
        let count = self.by_method.entry(question.0).or_default();
        count.0 += 1;
        if let Some(first) = unexplained.first() {
            count.1 += 1;
            let more = unexplained.len() - 1;
            self.unexplained.push(format!("{} {}\n    {first} (and {more} more)", question.0, question.1));
        }
    }

    pub(crate) fn summary(&self) -> String {
        let counts = self.by_method.iter().map(|(method, (asked, different))| match different {
            0 => format!("{method} {asked}"),
            _ => format!("{method} {asked} ({different} DIFFERENT)"),
        });
        let counts: Vec<_> = counts.collect();
        let explained: Vec<_> =
            self.explained.iter().map(|(why, count)| format!("{count} × {why}")).collect();
        format!("{} questions: {}\nexplained: {}", self.asked, counts.join(", "), explained.join(", "))
    }
}
