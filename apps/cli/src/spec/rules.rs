//! What a chain file says about validity, without what it says about anything else.

use std::fmt::Write as _;

use toml::{Table, Value};

/// Keys that tell people or nodes something and decide no block: at the top, and within a section.
const NEUTRAL: &[&str] = &["name", "about", "is_test", "network", "dev"];
const NEUTRAL_IN: &[(&str, &[&str])] = &[
    // What is taken as checked, and what one's own clock refuses for a while.
    ("pow", &["minimum_work", "assumed_valid", "future_limit_seconds"]),
    // The key may come from the operator instead; whoever compares adds the one that counts.
    ("solo", &["key", "future_limit_seconds"]),
    ("utxo", &["rpc_name", "addresses"]),
    // What a genesis file says counts, not what it is called; whoever compares adds it.
    ("evm", &["pool", "genesis"]),
];

/// The rules in a chain file: its keys in order, one a line, whatever the file's layout is.
pub(super) fn of(text: &str) -> String {
    let mut rules = String::new();
    let Ok(mut table) = text.parse::<Table>() else { return rules };
    table.retain(|key, _| !NEUTRAL.contains(&key));
    for (section, keys) in NEUTRAL_IN {
        if let Some(Value::Table(section)) = table.get_mut(*section) {
            section.retain(|key, _| !keys.contains(&key));
        }
    }
    write("", &Value::Table(table), &mut rules);
    rules
}

fn write(path: &str, value: &Value, rules: &mut String) {
    match value {
        Value::Table(table) => {
            let mut keys: Vec<_> = table.iter().collect();
            keys.sort_by_key(|(key, _)| key.as_str());
            for (key, value) in keys {
                write(&format!("{path}.{key}"), value, rules);
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                write(&format!("{path}.{at}"), value, rules);
            }
        }
        // Hexadecimal digits mean the same in both cases.
        Value::String(text) => drop(writeln!(rules, "{path} {:?}", text.to_lowercase())),
        other => drop(writeln!(rules, "{path} {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    const FILE: &str = "name = \"a\"\nledger = \"utxo\"\n[network]\nport = 1\n[pow]\nminimum_work = \"1\"\n\
        [pow.target]\nlimit = \"00FF\"\nspacing_seconds = 600\n";

    #[test]
    fn layout_names_and_trust_are_no_rules() {
        let rules = of(FILE);
        assert_eq!(rules, ".ledger \"utxo\"\n.pow.target.limit \"00ff\"\n.pow.target.spacing_seconds 600\n");
        for (old, new) in [
            ("\"a\"", "\"b\""),
            ("port = 1", "port = 2"),
            ("minimum_work = \"1\"", "# a remark"),
            ("00FF", "00ff"),
            ("[pow]", "\n\n[pow]   "),
        ] {
            assert_eq!(of(&FILE.replace(old, new)), rules, "{old} → {new}");
        }
    }

    #[test]
    fn whatever_decides_blocks_is_a_rule() {
        let rules = of(FILE);
        for (old, new) in [("600", "601"), ("00FF", "00FE"), ("\"utxo\"", "\"names\""), ("spacing", "pacing")]
        {
            assert_ne!(of(&FILE.replace(old, new)), rules, "{old} → {new}");
        }
    }
}
