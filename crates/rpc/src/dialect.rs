//! A dialect is a set of methods: Bitcoin's, Ethereum's, or the small generic one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::method::Method;

/// What a node can be asked in one chain's own words.
///
/// The smallest implementation is [`crate::GenericDialect`]. Handlers may block; the shell runs them on threads of
/// their own, bounds how many run at once, and refuses what does not fit its queue.
pub trait Dialect: Send + Sync + 'static {
    /// What the dialect is called in logs.
    fn name(&self) -> &'static str;

    /// Its methods. Called once; handlers keep what they need.
    fn methods(self: Arc<Self>) -> Vec<Method>;
}

/// All methods of a server by name.
pub(crate) type Table = BTreeMap<&'static str, Method>;

/// The help of Bitcoin Core's `help` (`CRPCTable::help`): all methods by category, or one method.
pub(crate) fn help(table: &Table, wanted: &str) -> String {
    if !wanted.is_empty() {
        return match table.get(wanted) {
            Some(method) => method.help().trim_end_matches('\n').to_owned(),
            None => format!("help: unknown command: {wanted}"),
        };
    }
    let mut methods: Vec<_> = table.values().filter(|method| method.category != "hidden").collect();
    methods.sort_by_key(|method| (method.category, method.name));
    let mut text = String::new();
    let mut category = "";
    for method in methods {
        if method.category != category {
            let blank = if category.is_empty() { "" } else { "\n" };
            category = method.category;
            text.extend([blank, "== ", &capitalized(category), " ==\n"]);
        }
        text.push_str(&method.usage());
        text.push('\n');
    }
    text.pop();
    text
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
