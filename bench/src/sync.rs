//! Imports one chain with our node and with opponents, in turn, and compares medians.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::{self, Cost};

/// Which chain, which opponents, how often.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The chain, as `generate` writes it.
    #[arg(long)]
    chain: PathBuf,
    /// Runs of each command.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Our command; `{chain}` and `{dir}` are replaced.
    #[arg(
        long,
        default_value = "target/release/chainwright import --chain bitcoin-regtest --datadir {dir} --assumevalid none {chain}"
    )]
    ours: String,
    /// An opponent's command, with a name: `NAME=COMMAND`. May be given more than once.
    #[arg(long = "against")]
    against: Vec<String>,
    /// A command that runs meanwhile, such as a node that serves the chain to peers; it is ended afterwards.
    #[arg(long, requires = "ready")]
    beside: Option<String>,
    /// The address at which the command beside accepts connections once it is ready.
    #[arg(long)]
    ready: Option<SocketAddr>,
    /// Where data directories are made, one per run, and removed.
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
}

type Result<T> = core::result::Result<T, Box<dyn core::error::Error>>;

/// How long a command beside may take until it accepts connections.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// A process that runs as long as this value lives.
struct Beside(Child);

impl Beside {
    fn start(command: &str, ready: SocketAddr) -> Result<Self> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let (program, arguments) = words.split_first().ok_or("--beside takes a command")?;
        let quiet =
            Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut beside = Self(quiet);
        let started = Instant::now();
        while TcpStream::connect(ready).is_err() {
            if let Some(status) = beside.0.try_wait()? {
                return Err(format!("{program} ended with {status} before it accepted connections").into());
            }
            if started.elapsed() > READY_LIMIT {
                return Err(format!("{program} does not accept connections at {ready}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(beside)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It only serves; whatever it holds is made again.
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

fn run_all(options: &Options) -> Result<Vec<(String, Vec<Cost>)>> {
    let mut contestants = vec![("chainwright".to_owned(), options.ours.clone())];
    for against in &options.against {
        let (name, command) = against.split_once('=').ok_or("--against takes NAME=COMMAND")?;
        contestants.push((name.to_owned(), command.to_owned()));
    }
    fs::create_dir_all(&options.work)?;
    let mut costs: Vec<(String, Vec<Cost>)> =
        contestants.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
    for round in 0..options.runs {
        for (at, (name, command)) in contestants.iter().enumerate() {
            let dir = options.work.join(format!("{name}-{round}"));
            fs::remove_dir_all(&dir).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
            fs::create_dir_all(&dir)?;
            let cost = measure::run(
                &filled(command, &options.chain, &dir),
                &options.work.join(format!("{name}.log")),
            )?;
            eprintln!("round {round}: {name} {:.1} s wall, {:.1} s CPU", cost.wall, cost.cpu);
            costs[at].1.push(cost);
            fs::remove_dir_all(&dir)?;
        }
    }
    Ok(costs)
}

fn filled(command: &str, chain: &Path, dir: &Path) -> Vec<String> {
    let fill = |word: &str| {
        word.replace("{chain}", &chain.to_string_lossy()).replace("{dir}", &dir.to_string_lossy())
    };
    command.split_whitespace().map(fill).collect()
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let beside = options.beside.as_deref().zip(options.ready);
    let beside = beside.map(|(command, ready)| Beside::start(command, ready)).transpose()?;
    let costs = run_all(options)?;
    drop(beside);
    let figures = |costs: &[Cost]| {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        (
            median(costs, |cost| cost.wall),
            median(costs, |cost| cost.cpu),
            median(costs, |cost| megabytes(cost.memory)),
            median(costs, |cost| megabytes(cost.written)),
        )
    };
    println!("| | wall s | CPU s | peak MB | written MB | wall, ours = 1 | CPU, ours = 1 |");
    println!("|---|---|---|---|---|---|---|");
    let ours = figures(&costs[0].1);
    for (name, costs) in &costs {
        let (wall, cpu, memory, written) = figures(costs);
        let ratio = |theirs: f64, ours: f64| theirs / ours.max(f64::EPSILON);
        let (by_wall, by_cpu) = (ratio(wall, ours.0), ratio(cpu, ours.1));
        println!(
            "| {name} | {wall:.1} | {cpu:.1} | {memory:.0} | {written:.0} | {by_wall:.2} | {by_cpu:.2} |"
        );
    }
    Ok(())
}
