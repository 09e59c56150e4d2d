//! `chainwright bitcoind`: a Bitcoin node that takes Bitcoin Core's flags, reads its `bitcoin.conf`, lays out the data
//! directory as it does, and speaks its words on errors.
//!
//! Nothing is printed to standard error unless it is fatal. Exit codes are Bitcoin Core's: 0 after an orderly stop, 1
//! when the node did not start or had to stop.

mod options;
mod settings;

use std::process::ExitCode;

use chainwright_node::{Log, Shutdown, StartError, run_to_end};
use chainwright_store::OpenError;

use crate::error::{CliError, CliResult, EXIT_FAILED, EXIT_OK};
use crate::{discovery, print, registry, talk};
use options::{Kind, Options};
use settings::Settings;

/// What the program calls itself.
const VERSION: &str = concat!("Chainwright version v", env!("CARGO_PKG_VERSION"), " (bitcoind personality)");

/// Runs with the arguments after `bitcoind`.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    match try_run(arguments.collect()) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => {
            talk(format!("Error: {error}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// As [`run`], when a flag of the whole program came first.
pub(crate) fn run_flags(flags: Vec<String>) -> CliResult<()> {
    try_run(flags).map_err(CliError::failed)
}

fn try_run(arguments: Vec<String>) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    if ["help", "h", "?"].iter().any(|name| options.has(name)) {
        print(help());
        return Ok(());
    }
    if options.has("version") {
        print(VERSION);
        return Ok(());
    }
    let settings = Settings::read(options)?;
    let log = settings.log.clone();
    let run = serve(settings);
    if let Err(error) = &run {
        log.line(format!("Error: {error}"));
        log.line("Shutdown: done");
    }
    run
}

fn serve(settings: Settings) -> Result<(), String> {
    let log = &settings.log;
    let heard = log.clone();
    crate::hear_warnings(move || LogLines(heard.clone()));
    log.line(VERSION);
    log.line(format!("Using data directory {}", settings.data.display()));
    for warning in &settings.warnings {
        log.line(format!("Warning: {warning}"));
    }
    let shown = |error: CliError| error.to_string();
    let cell = registry::cell(&settings.chain, &settings.overrides).map_err(shown)?;
    let runtime = crate::node::runtime().map_err(shown)?;
    let shutdown = Shutdown::new();
    run_to_end(runtime, async {
        shutdown.listen_to_signals().map_err(|error| format!("cannot listen to signals: {error}"))?;
        let node =
            cell.start(settings.node, shutdown.clone()).await.map_err(|error| in_core_words(&error))?;
        if let Some(address) = node.rpc().first() {
            discovery::announce(&settings.data, *address);
        }
        // Only now is the folder ours: a file of another process must not be overwritten.
        let pid_file = settings.pid_file.filter(|file| {
            let written = std::fs::write(file, format!("{}\n", std::process::id()));
            if let Err(error) = &written {
                shutdown.fail(format!("Unable to create the PID file '{}': {error}", file.display()));
            }
            written.is_ok()
        });
        shutdown.requested().await;
        discovery::withdraw(&settings.data);
        let stopped = node.stop().await;
        if let Some(file) = pid_file {
            let _ = std::fs::remove_file(file);
        }
        stopped
    })
}

/// Takes whole lines for the log: standard error stays empty.
struct LogLines(Log);

impl std::io::Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.line(String::from_utf8_lossy(bytes).trim_end());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A start error as Bitcoin Core says it, where it has words for it.
fn in_core_words(error: &StartError) -> String {
    match error {
        StartError::Store(OpenError::Locked { place }) => {
            format!("Cannot obtain a lock on directory {place}. bitcoind is probably already running.")
        }
        other => other.to_string(),
    }
}

fn help() -> String {
    let mut lines = vec![
        VERSION.to_owned(),
        String::new(),
        "Usage: chainwright bitcoind [options]".to_owned(),
        String::new(),
        "Options are those of Bitcoin Core's bitcoind, on the command line or in bitcoin.conf:".to_owned(),
        String::new(),
    ];
    let all = |wanted: fn(Kind) -> bool| {
        let names =
            Options::names().filter(move |(_, kind)| wanted(*kind)).map(|(name, _)| format!("-{name}"));
        names.collect::<Vec<_>>().join(" ")
    };
    lines.push(format!("with effect:    {}", all(|kind| kind == Kind::Used)));
    lines.push(format!("nothing to do:  {}", all(|kind| kind == Kind::Nothing)));
    lines.push("refused:".to_owned());
    for (name, kind) in Options::names() {
        if let Kind::Refused(hint) = kind {
            lines.push(format!("  -{name}: {hint}"));
        }
    }
    lines.join("\n")
}
