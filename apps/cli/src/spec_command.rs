//! `chainwright spec`: check, list and print chain files.

use serde_json::json;

use crate::args::SpecCommand;
use crate::error::{CliError, CliResult};
use crate::registry::{self, Overrides};
use crate::spec::{ChainFile, Engine};
use crate::{print, spec};

pub(crate) fn run(command: SpecCommand, is_json: bool) -> CliResult<()> {
    match command {
        SpecCommand::Check { chain } => check(&chain, is_json),
        SpecCommand::List => list(is_json),
        SpecCommand::Print { chain } => print_preset(&chain),
    }
}

/// Reads the file and puts the chain together, as a node would.
fn check(chain: &str, is_json: bool) -> CliResult<()> {
    let file = spec::load(chain)?;
    let mut overrides = Overrides::default();
    let key = SealingKeyFrom::of(&file);
    if key == SealingKeyFrom::Dev {
        // Any key does: what is said here does not depend on it.
        overrides.sealing_secret = Some([1; 32]);
    }
    let cell = registry::cell(&file, &overrides)?;
    let genesis = cell.genesis();
    if is_json {
        print(
            json!({
                "name": file.name, "about": file.about, "consensus": cell.consensus_name(),
                "ledger": cell.ledger_name(), "genesis": genesis, "port": file.network.port,
                "seal_is_checked": file.consensus != Engine::External,
                "sealing_key": key.word(),
                "rpc_port": file.network.rpc_port,
            })
            .to_string(),
        );
        return Ok(());
    }
    print(format!("{}: {}", file.name, file.about));
    print(format!("  consensus  {}", cell.consensus_name()));
    if file.consensus == Engine::External {
        print("  seal       not checked: blocks come from files and callers, and no peers are listened to");
    }
    if key == SealingKeyFrom::Dev {
        print("  sealed by  a key that `chainwright dev` makes; `node` asks for it with --sealing-key");
    }
    print(format!("  ledger     {}", cell.ledger_name()));
    print(format!("  genesis    {genesis}"));
    print(format!("  ports      {} for peers, {} for RPC", file.network.port, file.network.rpc_port));
    Ok(())
}

/// Where the key that seals blocks comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SealingKeyFrom {
    /// Nobody seals by a key.
    Nobody,
    /// The file names it.
    File,
    /// The file names none and is made for local networks, whose first start makes one.
    Dev,
    /// The file names none, and nothing makes one: an error.
    Nowhere,
}

impl SealingKeyFrom {
    fn of(file: &ChainFile) -> Self {
        match &file.solo {
            None => Self::Nobody,
            Some(section) if section.key.is_some() => Self::File,
            Some(_) if file.dev.is_some() => Self::Dev,
            Some(_) => Self::Nowhere,
        }
    }

    fn word(self) -> Option<&'static str> {
        match self {
            Self::Nobody | Self::Nowhere => None,
            Self::File => Some("file"),
            Self::Dev => Some("dev"),
        }
    }
}

fn list(is_json: bool) -> CliResult<()> {
    for (name, _) in spec::PRESETS {
        let file = spec::load(name)?;
        if is_json {
            print(json!({ "name": name, "about": file.about }).to_string());
        } else {
            print(format!("{name:<18} {}", file.about));
        }
    }
    Ok(())
}

fn print_preset(chain: &str) -> CliResult<()> {
    match spec::PRESETS.iter().find(|(name, _)| *name == chain) {
        Some((_, text)) => {
            print(text.trim_end());
            Ok(())
        }
        None => Err(CliError::usage(format!("there is no built-in chain `{chain}`"))
            .hint("`chainwright spec list` names them")),
    }
}
