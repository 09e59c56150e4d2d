//! Flags and configuration keys of `chainwright bitcoind`: Bitcoin Core's names, its way to write them, its error words.
//!
//! Source: Bitcoin Core 31, `common/args.cpp` (`ParseParameters`, `InterpretKey`, `InterpretValue`), `common/config.cpp`.

use std::collections::BTreeMap;

/// What becomes of a known option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has an effect.
    Used,
    /// It may be given and there is nothing to do: what it tunes or switches off does not exist here.
    Nothing,
    /// It may be switched off; switched on it is refused, because it would not do what it says.
    Refused(&'static str),
}

use Kind::{Nothing, Refused, Used};

/// Every option, by name.
const OPTIONS: &[(&str, Kind)] = &[
    ("?", Used),
    ("addnode", Used),
    (
        "alertnotify",
        Refused("notification commands are not built in; use the /events stream of the RPC server"),
    ),
    ("assumevalid", Used),
    ("bind", Used),
    (
        "blocknotify",
        Refused("notification commands are not built in; use the /events stream of the RPC server"),
    ),
    ("blocksonly", Used),
    ("chain", Used),
    ("checkblocks", Nothing),
    ("checklevel", Nothing),
    ("conf", Used),
    ("connect", Used),
    ("daemon", Refused("run it in the background with your service manager, or with `&`")),
    ("daemonwait", Refused("run it in the background with your service manager, or with `&`")),
    ("datadir", Used),
    ("dbcache", Used),
    ("debug", Used),
    ("debugexclude", Nothing),
    ("debuglogfile", Used),
    ("deprecatedrpc", Nothing),
    ("disablewallet", Nothing),
    ("discover", Nothing),
    ("dns", Nothing),
    ("dnsseed", Used),
    ("fallbackfee", Nothing),
    ("fixedseeds", Nothing),
    ("forcednsseed", Nothing),
    ("h", Used),
    ("help", Used),
    ("keypool", Nothing),
    ("listen", Used),
    ("listenonion", Nothing),
    ("loglevel", Nothing),
    ("logips", Nothing),
    ("loglevelalways", Nothing),
    ("logsourcelocations", Nothing),
    ("logthreadnames", Nothing),
    ("logtimemicros", Nothing),
    ("logtimestamps", Nothing),
    ("maxconnections", Used),
    ("minimumchainwork", Used),
    ("mocktime", Used),
    ("natpmp", Nothing),
    ("networkactive", Used),
    ("onlynet", Refused("only IPv4 and IPv6 are supported; choose peers with -connect")),
    ("par", Used),
    ("peertimeout", Nothing),
    ("persistmempool", Used),
    ("pid", Used),
    ("port", Used),
    ("printtoconsole", Used),
    ("proxy", Refused("connections through a proxy are not supported")),
    ("prune", Refused("pruning is not supported yet: blocks are kept")),
    ("regtest", Used),
    ("reindex", Refused("remove the chain's folder in the data directory, and blocks are fetched again")),
    ("rpcallowip", Used),
    ("rpcauth", Used),
    ("rpcbind", Used),
    ("rpccookiefile", Used),
    ("rpcdoc", Nothing),
    ("rpcpassword", Used),
    ("rpcport", Used),
    ("rpcservertimeout", Used),
    ("rpcthreads", Used),
    ("rpcuser", Used),
    ("rpcworkqueue", Used),
    ("seednode", Used),
    ("server", Used),
    ("settings", Nothing),
    ("shrinkdebugfile", Nothing),
    ("signet", Used),
    ("stopatheight", Used),
    ("testnet", Refused("testnet3 is not built in; use -testnet4")),
    ("testnet4", Used),
    ("txindex", Refused("there is no transaction index yet; getrawtransaction takes the block's hash")),
    ("uacomment", Used),
    ("unsafesqlitesync", Nothing),
    ("upnp", Nothing),
    ("v2transport", Nothing),
    ("version", Used),
    ("wallet", Nothing),
    ("whitelist", Nothing),
];

/// Options that mean something for one network: in `bitcoin.conf` they belong into its section, unless the network
/// is the main one (Bitcoin Core, `ArgsManager::NETWORK_ONLY`).
const NETWORK_ONLY: &[&str] = &["addnode", "bind", "connect", "port", "rpcbind", "rpcport", "wallet"];

/// Sections `bitcoin.conf` can have.
const SECTIONS: &[&str] = &["main", "test", "testnet4", "signet", "regtest"];

/// Options as they were given: on the command line first, then in the file's section, then at the file's top.
#[derive(Debug, Default)]
pub(crate) struct Options {
    command_line: BTreeMap<String, Vec<String>>,
    file: BTreeMap<String, Vec<String>>,
    /// What is worth a line in the log.
    pub(crate) warnings: Vec<String>,
}

/// What `bitcoin.conf` holds: values by section and key; the top of the file is the section "".
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    entries: Vec<(String, String, String)>,
    unknown_sections: Vec<String>,
}

fn kind(name: &str) -> Option<Kind> {
    OPTIONS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// Name and value of `name`, `name=value`, `noname` and `noname=value`.
fn interpret(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let is_on = |value: &str| value.is_empty() || value.parse::<i64>().is_ok_and(|number| number != 0);
    match key.strip_prefix("no") {
        // `-nolisten=0` is a double negation and means `-listen=1`.
        Some(name) if kind(key).is_none() && kind(name).is_some() => {
            (name.to_owned(), if is_on(value) { "0" } else { "1" }.to_owned())
        }
        _ => (key.to_owned(), value.to_owned()),
    }
}

fn refuse(name: &str, value: &str) -> Result<(), String> {
    match kind(name) {
        Some(Refused(hint)) if value != "0" => Err(format!("-{name} is not supported: {hint}")),
        _ => Ok(()),
    }
}

impl Options {
    /// Reads the arguments after `bitcoind`.
    ///
    /// # Errors
    /// In Bitcoin Core's words, without its leading `Error: `.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        for argument in arguments {
            let Some(text) = argument.strip_prefix('-') else {
                return Err(format!(
                    "Command line contains unexpected token '{argument}', see bitcoind -h for a list of options."
                ));
            };
            let (name, value) = interpret(text.strip_prefix('-').unwrap_or(text));
            if kind(&name).is_none() {
                return Err(format!("Error parsing command line arguments: Invalid parameter {argument}"));
            }
            refuse(&name, &value)?;
            options.command_line.entry(name).or_default().push(value);
        }
        Ok(options)
    }

    /// Adds what the file says for a network.
    ///
    /// # Errors
    /// In Bitcoin Core's words, when an option stands where it would have no effect, or is refused.
    pub(crate) fn add_file(&mut self, file: &ConfigFile, network: &str) -> Result<(), String> {
        for (_, key, _) in &file.entries {
            if kind(key).is_none() {
                self.warnings.push(format!("Ignoring unknown configuration value {key}"));
            }
        }
        for section in &file.unknown_sections {
            self.warnings.push(format!("Section [{section}] is not recognized."));
        }
        for wanted in [network, ""] {
            for (section, key, value) in &file.entries {
                if section != wanted || kind(key).is_none() {
                    continue;
                }
                let is_misplaced =
                    section.is_empty() && network != "main" && NETWORK_ONLY.contains(&key.as_str());
                if is_misplaced && self.has(key) {
                    continue;
                }
                if is_misplaced {
                    return Err(format!(
                        "Config setting for -{key} only applied on {network} network when in [{network}] section."
                    ));
                }
                refuse(key, value)?;
                self.file.entry(key.clone()).or_default().push(value.clone());
            }
        }
        Ok(())
    }

    /// Whether the option was given at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.command_line.contains_key(name) || self.file.contains_key(name)
    }

    /// The value that counts: the last one on the command line, or the first one in the file.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let last = self.command_line.get(name).and_then(|values| values.last());
        last.or_else(|| self.file.get(name).and_then(|values| values.first())).map(String::as_str)
    }

    /// All values, those of the command line first. A `-noname` forgets what came before it.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        let given = [self.command_line.get(name), self.file.get(name)];
        for value in given.into_iter().flatten().flatten() {
            match value.as_str() {
                "0" => values.clear(),
                value => values.push(value.to_owned()),
            }
        }
        values
    }

    /// Whether the option was negated: `-noname` or `-name=0`.
    pub(crate) fn is_off(&self, name: &str) -> bool {
        self.value(name) == Some("0")
    }

    /// An option that is on or off.
    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        match self.value(name) {
            None => default,
            Some("") => true,
            Some(value) => value.parse::<i64>().is_ok_and(|number| number != 0),
        }
    }

    /// An option that is a number.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let invalid = |value| format!("Invalid value for -{name}: '{value}'");
        self.value(name).map(|value| value.parse().map_err(|_| invalid(value))).transpose()
    }

    /// Every name that `bitcoind` understands, for `-help`.
    pub(crate) fn names() -> impl Iterator<Item = (&'static str, Kind)> {
        OPTIONS.iter().copied()
    }
}

impl ConfigFile {
    /// Reads `bitcoin.conf`.
    ///
    /// # Errors
    /// In Bitcoin Core's words, with the line's number.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut file = Self::default();
        let mut section = String::new();
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
            let has_remark = line.contains('#');
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
                if !SECTIONS.contains(&name) {
                    file.unknown_sections.push(name.to_owned());
                }
                continue;
            }
            if line.starts_with('-') {
                return Err(format!(
                    "parse error on line {number}: {line}, options in configuration file must be specified \
                     without leading -"
                ));
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(parse_error(number, line));
            };
            let (key, value) = (key.trim(), value.trim());
            if has_remark && key.contains("rpcpassword") {
                return Err(format!(
                    "parse error on line {number}, using # in rpcpassword can be ambiguous and should be avoided"
                ));
            }
            // `regtest.port=1` is the same as `port=1` in [regtest].
            let (place, key) = match key.split_once('.') {
                Some((place, key)) => (place.to_owned(), key),
                None => (section.clone(), key),
            };
            let (name, value) = interpret(&format!("{key}={value}"));
            file.entries.push((place, name, value));
        }
        Ok(file)
    }

    /// A value at the top of the file.
    pub(crate) fn top(&self, name: &str) -> Option<&str> {
        let found = self.entries.iter().find(|(section, key, _)| section.is_empty() && key == name);
        found.map(|(_, _, value)| value.as_str())
    }
}

fn parse_error(number: usize, line: &str) -> String {
    let hint = if line.starts_with("no") {
        format!(", if you intended to specify a negated option, use {line}=1 instead")
    } else {
        String::new()
    };
    format!("parse error on line {number}: {line}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn flags_are_read_as_the_reference_reads_them() {
        let options = parse(&[
            "-regtest",
            "--port=1",
            "-port=2",
            "-nolisten",
            "-noserver=0",
            "-connect=a",
            "-connect=b",
            "-datadir=/x=y",
        ]);
        let options = options.unwrap();
        assert!(options.flag("regtest", false));
        assert_eq!(options.number::<u16>("port"), Ok(Some(2)));
        assert!(options.is_off("listen") && !options.flag("listen", true));
        assert!(options.flag("server", false));
        assert_eq!(options.values("connect"), ["a", "b"]);
        assert_eq!(options.value("datadir"), Some("/x=y"));
        assert!(options.flag("printtoconsole", true));
    }

    #[test]
    fn nonsense_is_refused_in_the_words_of_the_reference() {
        let error = |arguments: &[&str]| parse(arguments).unwrap_err();
        assert_eq!(error(&["-foo=1"]), "Error parsing command line arguments: Invalid parameter -foo=1");
        assert_eq!(
            error(&["stop"]),
            "Command line contains unexpected token 'stop', see bitcoind -h for a list of options."
        );
        assert!(error(&["-daemon"]).starts_with("-daemon is not supported: "));
        assert!(error(&["-prune=550"]).contains("pruning"));
        assert!(parse(&["-prune=0", "-txindex=0", "-nodaemon"]).is_ok());
        let options = parse(&["-port=http"]).unwrap();
        assert_eq!(options.number::<u16>("port"), Err("Invalid value for -port: 'http'".to_owned()));
    }

    #[test]
    fn sections_of_the_file_belong_to_their_network() {
        let text = "server=1 # yes\nregtest.rpcport=5\n[regtest]\nport=7\n[main]\nport=8\n[moon]\nx=1\n";
        let file = ConfigFile::parse(text).unwrap();
        let mut options = parse(&["-rpcport=6"]).unwrap();
        options.add_file(&file, "regtest").unwrap();
        assert_eq!(options.value("port"), Some("7"));
        assert_eq!(options.value("rpcport"), Some("6"));
        assert!(options.warnings.iter().any(|warning| warning.contains("[moon]")));
        assert!(options.warnings.iter().any(|warning| warning.ends_with("unknown configuration value x")));
        let misplaced = ConfigFile::parse("port=7\n").unwrap();
        let error = parse(&[]).unwrap().add_file(&misplaced, "regtest").unwrap_err();
        assert_eq!(
            error,
            "Config setting for -port only applied on regtest network when in [regtest] section."
        );
        assert!(parse(&[]).unwrap().add_file(&misplaced, "main").is_ok());
    }

    #[test]
    fn a_broken_file_is_refused_with_its_line() {
        let error = |text: &str| ConfigFile::parse(text).unwrap_err();
        assert_eq!(
            error("server=1\nnonsense\n"),
            "parse error on line 2: nonsense, if you intended to specify a negated option, use nonsense=1 instead"
        );
        assert!(error("-server=1").contains("must be specified without leading -"));
        let ambiguous =
            "parse error on line 2, using # in rpcpassword can be ambiguous and should be avoided";
        assert_eq!(error("rpcuser=a # me\nrpcpassword=b#c\n"), ambiguous);
        assert_eq!(error("\nregtest.rpcpassword=b #c\n"), ambiguous);
    }
}
