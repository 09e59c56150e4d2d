//! `chainwright spec`: check, list and print chain files.

use serde_json::json;

use crate::args::SpecCommand;
use crate::error::{CliError, CliResult};
use crate::registry::{self, Overrides};
use crate::spec::Engine;
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
    let cell = registry::cell(&file, &Overrides::default())?;
    let genesis = cell.genesis();
    if is_json {
        print(
            json!({
                "name": file.name, "about": file.about, "consensus": cell.consensus_name(),
                "ledger": cell.ledger_name(), "genesis": genesis, "port": file.network.port,
                "seal_is_checked": file.consensus != Engine::External,
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
    print(format!("  ledger     {}", cell.ledger_name()));
    print(format!("  genesis    {genesis}"));
    print(format!("  ports      {} for peers, {} for RPC", file.network.port, file.network.rpc_port));
    Ok(())
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
