//! Imports one chain with our node and with opponents, in turn, and compares medians.

use std::fs;
use std::io::{Read as _, Seek as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::generate;
use crate::measure::{self, Cost};

/// Which chain, which opponents, how often.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The chain; made first if the file is missing.
    #[arg(long, default_value = "target/bench-chain.dat")]
    chain: PathBuf,
    /// Runs of each command.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Our binary.
    #[arg(long, default_value = "target/release/chainwright")]
    binary: PathBuf,
    /// The contestants to run, by name; all that are installed unless given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A further opponent's command, with a name: `NAME=COMMAND`; `{chain}` and `{dir}` are replaced. May be given more than once.
    #[arg(long = "against")]
    against: Vec<String>,
    /// Where data directories are made, one per run, and removed.
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
}

/// A command with a name.
struct Contestant {
    name: String,
    command: String,
}

/// A program we do not build, and how to get it.
const OPPONENTS: [(&str, &str, &str, &str); 2] = [
    (
        "kernel",
        "target/debug/chainwright-oracle-kernel-import",
        "{chain} {dir} --threads 2",
        "cargo build -p chainwright-oracle-kernel",
    ),
    (
        "btcd",
        "target/peers/addblock",
        "--regtest --datadir={dir} --infile={chain} --progress=0",
        "cargo xtask peers",
    ),
];

/// Ours from the file with every script checked, the same with none, ours from a peer, and whoever is installed.
fn contestants(options: &Options, peer: SocketAddr) -> Result<Vec<Contestant>> {
    let binary = options.binary.display();
    let import = format!("{binary} import --chain bitcoin-regtest --datadir {{dir}} --threads 2 {{chain}}");
    let follow = format!(
        "{binary} bitcoind -regtest -datadir={{dir}} -listen=0 -connect={peer} -rpcport={} -par=2 -assumevalid=0 -stopatheight={}",
        free_address()?.port(),
        blocks(&options.chain)?,
    );
    let mut all = vec![
        ("chainwright".to_owned(), format!("{import} --assumevalid none")),
        ("assumed".to_owned(), format!("{import} --assumevalid all")),
        ("peer".to_owned(), follow),
    ];
    for (name, program, arguments, how) in OPPONENTS {
        if Path::new(program).exists() {
            all.push((name.to_owned(), format!("{program} {arguments}")));
        } else {
            eprintln!("SKIPPED: {name} is not installed; `{how}` does it");
        }
    }
    for against in &options.against {
        let (name, command) = against.split_once('=').ok_or("--against takes NAME=COMMAND")?;
        all.push((name.to_owned(), command.to_owned()));
    }
    let is_wanted = |name: &String| options.only.is_empty() || options.only.contains(name);
    let wanted = all.into_iter().filter(|(name, _)| is_wanted(name));
    Ok(wanted.map(|(name, command)| Contestant { name, command }).collect())
}

/// How many frames of `magic ‖ length (LE u32) ‖ block` a file holds.
fn blocks(chain: &Path) -> Result<u32> {
    let mut file = fs::File::open(chain)?;
    let mut frame = [0; 8];
    let mut count = 0;
    while file.read(&mut frame[..1])? == 1 {
        file.read_exact(&mut frame[1..])?;
        let length = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]);
        file.seek_relative(length.into())?;
        count += 1;
    }
    Ok(count)
}

/// An address on this machine that nobody uses.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

type Result<T> = core::result::Result<T, Box<dyn core::error::Error>>;

/// How long the node that serves may take until it accepts connections.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// A process that runs as long as this value lives.
struct Beside(Child);

impl Beside {
    /// A node that has the whole chain and serves it.
    fn serving(options: &Options, address: SocketAddr) -> Result<Self> {
        let (binary, folder) = (options.binary.display(), options.work.join("serving"));
        remove(&folder)?;
        let import = format!(
            "{binary} import --chain bitcoin-regtest --datadir {} --assumevalid all {}",
            folder.join("regtest").display(),
            options.chain.display(),
        );
        measure::run(&words(&import), &options.work.join("serving.log"))?;
        let serve = format!(
            "{binary} bitcoind -regtest -datadir={} -bind=127.0.0.1 -port={} -rpcport={}",
            folder.display(),
            address.port(),
            free_address()?.port(),
        );
        Self::start(&words(&serve), address)
    }

    fn start(command: &[String], ready: SocketAddr) -> Result<Self> {
        let (program, arguments) = command.split_first().ok_or("no command")?;
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
    let address = free_address()?;
    let contestants = contestants(options, address)?;
    let serves = contestants.iter().any(|one| one.name == "peer");
    let beside = serves.then(|| Beside::serving(options, address)).transpose()?;
    let mut costs: Vec<(String, Vec<Cost>)> =
        contestants.iter().map(|one| (one.name.clone(), Vec::new())).collect();
    for round in 0..options.runs {
        for (at, one) in contestants.iter().enumerate() {
            let dir = options.work.join(format!("{}-{round}", one.name));
            remove(&dir)?;
            fs::create_dir_all(&dir)?;
            let log = options.work.join(format!("{}.log", one.name));
            let cost = measure::run(&filled(&one.command, &options.chain, &dir), &log)?;
            eprintln!("round {round}: {} {:.1} s wall, {:.1} s CPU", one.name, cost.wall, cost.cpu);
            costs[at].1.push(cost);
            remove(&dir)?;
        }
    }
    drop(beside);
    Ok(costs)
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> std::io::Result<()> {
    fs::remove_dir_all(folder).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(str::to_owned).collect()
}

fn filled(command: &str, chain: &Path, dir: &Path) -> Vec<String> {
    let fill = |word: String| {
        word.replace("{chain}", &chain.to_string_lossy()).replace("{dir}", &dir.to_string_lossy())
    };
    words(command).into_iter().map(fill).collect()
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(crate) fn run(options: &Options) -> Result<()> {
    fs::create_dir_all(&options.work)?;
    if !options.chain.exists() {
        generate::generate(&options.chain, generate::BLOCKS, generate::INPUTS)?;
    }
    let costs = run_all(options)?;
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
