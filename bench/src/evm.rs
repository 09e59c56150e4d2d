//! Ethereum's ledger against geth and anvil: transactions from RPC into blocks, imports, blocks on demand, memory.

mod chain;
mod load;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use self::chain::{BLOCK_GAS, Kind};
use self::load::Connection;
use crate::measure::{self, Cost};

type Result<T> = core::result::Result<T, Box<dyn core::error::Error>>;

/// What to measure, with whom, how often.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure; everything unless given.
    #[arg(value_enum, value_delimiter = ',')]
    what: Vec<What>,
    /// What is sent.
    #[arg(long, value_enum, default_value = "transfers")]
    kind: Kind,
    /// How many transactions [default: 100,000 transfers or 50,000 of tokens].
    #[arg(long)]
    count: Option<usize>,
    /// Rounds; each runs every contestant once.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Contestants, by name; all that are installed unless given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Our binary.
    #[arg(long, default_value = "target/release/chainwright")]
    binary: PathBuf,
    /// go-ethereum.
    #[arg(long, default_value = "target/peers/geth")]
    geth: PathBuf,
    /// Foundry's anvil.
    #[arg(long, default_value = "target/peers/anvil/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")]
    anvil: PathBuf,
    /// Where data directories are made and removed.
    #[arg(long, default_value = "target/bench-evm")]
    work: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// RPC to block.
    Rpc,
    /// Import of blocks that geth made and exported.
    Import,
    /// 3,000 blocks of one transaction, each waited for.
    Automine,
    /// A state of a million accounts: start and memory.
    Memory,
}

/// How transactions are sent: connections, and how many transactions a request holds.
const WAYS: [(usize, usize); 2] = [(4, 1), (8, 50)];

/// How long a node may take until it answers.
const READY_LIMIT: Duration = Duration::from_mins(2);

/// A server that is measured from outside.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts a command line, in which `{port}` and `{engine}` are ports nobody uses, and waits until it answers.
    fn start(command: &str, log: &Path) -> Result<Self> {
        let (port, engine) = (free_port()?, free_port()?);
        let command = command.replace("{port}", &port.to_string()).replace("{engine}", &engine.to_string());
        let mut words = command.split_whitespace();
        let program = words.next().ok_or("no command")?;
        let output = fs::File::create(log)?;
        let child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut server = Self { child, port };
        let started = Instant::now();
        loop {
            let answer = Connection::open(port).and_then(|mut there| there.number("eth_blockNumber", ""));
            if answer.is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{program} ended with {status}, see {}", log.display()).into());
            }
            if started.elapsed() > READY_LIMIT {
                return Err(format!("{program} does not answer, see {}", log.display()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn cost(&self) -> Cost {
        Cost::of(self.child.id())
    }

    /// As by Ctrl-C: what it has in memory is kept.
    fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-INT", &self.child.id().to_string()]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn fresh(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    Ok(fs::create_dir_all(folder)?)
}

/// Runs a command to its end.
fn run_once(command: &str, log: &Path) -> Result<Cost> {
    Ok(measure::run(&command.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), log)?)
}

impl Options {
    fn count(&self) -> usize {
        self.count.unwrap_or(if self.kind == Kind::Tokens { 50_000 } else { 100_000 })
    }

    fn measures(&self, what: What) -> bool {
        self.what.is_empty() || self.what.contains(&what)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Command lines of servers that make a block a second; what has to run before them has been run.
    fn server(&self, name: &str, data: &Path) -> Result<String> {
        let (work, data) = (self.folder("chain").display().to_string(), data.display());
        Ok(match name {
            "chainwright" => format!(
                "{} node --chain {work}/solo.toml --datadir {data} --no-listen --rpc-port {{port}} \
                 --sealing-key {work}/sealing.key --block-time 1s",
                self.binary.display()
            ),
            "geth" => {
                let geth = self.geth.display();
                run_once(
                    &format!("{geth} init --datadir {data} {work}/genesis.json"),
                    &self.folder("init.log"),
                )?;
                format!(
                    "{geth} --datadir {data} --dev --dev.period 1 --dev.gaslimit {BLOCK_GAS} --miner.gaslimit {BLOCK_GAS} \
                     --http --http.addr 127.0.0.1 --http.port {{port}} --http.api eth --authrpc.port {{engine}} \
                     --ipcdisable --nodiscover --maxpeers 0 --verbosity 2 --txpool.pricelimit 1 \
                     --txpool.accountslots 250000 --txpool.globalslots 250000 \
                     --txpool.accountqueue 250000 --txpool.globalqueue 250000"
                )
            }
            _ => format!(
                "{} --init {work}/genesis.json --chain-id {} --port {{port}} --block-time 1 --gas-limit {BLOCK_GAS} \
                 --accounts 1 --quiet",
                self.anvil.display(),
                chain::CHAIN_ID
            ),
        })
    }

    fn contestants(&self) -> Vec<&'static str> {
        let all = [("chainwright", &self.binary), ("geth", &self.geth), ("anvil", &self.anvil)];
        let mut wanted = Vec::new();
        for (name, program) in all {
            if !self.only.is_empty() && !self.only.iter().any(|one| one == name) {
                continue;
            }
            if program.exists() {
                wanted.push(name);
            } else {
                eprintln!("SKIPPED: {name} is not at {}", program.display());
            }
        }
        wanted
    }
}

/// Counts transactions in blocks until all are there.
fn wait_for_all(connection: &mut Connection, count: usize) -> Result<u64> {
    let (mut seen, mut height) = (0, 0);
    let mut last = Instant::now();
    loop {
        let head = connection.number("eth_blockNumber", "")?;
        while height < head {
            height += 1;
            let more =
                connection.number("eth_getBlockTransactionCountByNumber", &format!("\"{height:#x}\""))?;
            seen += more as usize;
            if more > 0 {
                last = Instant::now();
            }
        }
        if seen >= count {
            return Ok(height);
        }
        if last.elapsed() > Duration::from_mins(1) {
            return Err(format!("{seen} of {count} transactions are in blocks, and no more come").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One run: everything is sent, and waited for.
fn rpc_to_block(
    options: &Options,
    name: &str,
    transactions: &[Vec<String>],
    (connections, batch): (usize, usize),
) -> Result<(Cost, f64)> {
    let data = options.folder(name);
    fresh(&data)?;
    let command = options.server(name, &data)?;
    let server = Server::start(&command, &options.folder(&format!("{name}.log")))?;
    let mut control = Connection::open(server.port)?;
    let (before, started) = (server.cost(), Instant::now());
    load::send(server.port, transactions, connections, batch)?;
    let sent = started.elapsed().as_secs_f64();
    wait_for_all(&mut control, transactions.iter().map(Vec::len).sum())?;
    let mut cost = server.cost();
    cost.wall = started.elapsed().as_secs_f64();
    cost.cpu -= before.cpu;
    server.stop()?;
    Ok((cost, sent))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn rpc(options: &Options) -> Result<()> {
    let transactions = chain::transactions(options.kind, options.count())?;
    println!("\n{} {:?} from RPC to block\n", options.count(), options.kind);
    println!("| | connections × batch | CPU µs each | wall s | sent after s | peak MB | CPU, ours = 1 |");
    println!("|---|---|---|---|---|---|---|");
    for (connections, batch) in WAYS {
        let contestants = options.contestants();
        let mut costs = vec![Vec::new(); contestants.len()];
        for _ in 0..options.runs {
            for (at, name) in contestants.iter().enumerate() {
                costs[at].push(rpc_to_block(options, name, &transactions, (connections, batch))?);
            }
        }
        let each = |cost: &(Cost, f64)| cost.0.cpu * 1e6 / options.count() as f64;
        let ours = median(costs[0].iter().map(each).collect());
        for (name, costs) in contestants.iter().zip(&costs) {
            let of = |value: fn(&(Cost, f64)) -> f64| median(costs.iter().map(value).collect());
            let cpu = median(costs.iter().map(each).collect());
            let (wall, sent) = (of(|cost| cost.0.wall), of(|cost| cost.1));
            let memory = of(|cost| cost.0.memory as f64 / 1e6);
            println!(
                "| {name} | {connections} × {batch} | {cpu:.0} | {wall:.1} | {sent:.1} | {memory:.0} | {:.2} |",
                cpu / ours
            );
        }
    }
    Ok(())
}

/// Blocks that geth makes of the transactions, in a file.
fn geths_blocks(options: &Options) -> Result<PathBuf> {
    let file = fs::canonicalize(&options.work)?.join(format!("{:?}-{}.rlp", options.kind, options.count()));
    if file.exists() {
        return Ok(file);
    }
    let transactions = chain::transactions(options.kind, options.count())?;
    rpc_to_block(options, "geth", &transactions, (8, 50))?;
    let data = options.folder("geth").display().to_string();
    let command = format!("{} export --datadir {data} {}", options.geth.display(), file.display());
    run_once(&command, &options.folder("export.log"))?;
    Ok(file)
}

fn import(options: &Options) -> Result<()> {
    let file = geths_blocks(options)?;
    let file = file.display();
    let (work, log) = (options.folder("chain").display().to_string(), options.folder("import.log"));
    println!("\nimport of {} {:?} in geth's blocks\n", options.count(), options.kind);
    println!("| | wall s | CPU s | peak MB | wall, ours = 1 |");
    println!("|---|---|---|---|---|");
    let contestants: Vec<_> = options.contestants().into_iter().filter(|name| *name != "anvil").collect();
    let mut costs = vec![Vec::new(); contestants.len()];
    for _ in 0..options.runs {
        for (at, name) in contestants.iter().enumerate() {
            let data = options.folder(name);
            fresh(&data)?;
            let data = data.display();
            let command = if *name == "chainwright" {
                let binary = options.binary.display();
                format!("{binary} import --chain {work}/external.toml --datadir {data} {file}")
            } else {
                let geth = options.geth.display();
                run_once(&format!("{geth} init --datadir {data} {work}/genesis.json"), &log)?;
                format!("{geth} import --datadir {data} {file}")
            };
            costs[at].push(run_once(&command, &log)?);
        }
    }
    let ours = median(costs[0].iter().map(|cost: &Cost| cost.wall).collect());
    for (name, costs) in contestants.iter().zip(&costs) {
        let of = |value: fn(&Cost) -> f64| median(costs.iter().map(value).collect());
        let (wall, cpu, memory) =
            (of(|cost| cost.wall), of(|cost| cost.cpu), of(|cost| cost.memory as f64 / 1e6));
        println!("| {name} | {wall:.1} | {cpu:.1} | {memory:.0} | {:.2} |", wall / ours);
    }
    Ok(())
}

/// Blocks that are made because a transaction waits.
const AUTOMINE_BLOCKS: usize = 3_000;

fn automine(options: &Options) -> Result<()> {
    let data = options.folder("chainwright");
    fresh(&data)?;
    let command = options.server("chainwright", &data)?.replace(" --block-time 1s", "");
    let server = Server::start(&command, &options.folder("automine.log"))?;
    let mut connection = Connection::open(server.port)?;
    let transactions = chain::transactions(Kind::Transfers, AUTOMINE_BLOCKS)?;
    let mut taken = Vec::new();
    for (number, raw) in transactions.iter().flatten().enumerate() {
        let started = Instant::now();
        connection.text("eth_sendRawTransaction", &format!("\"{raw}\""))?;
        while connection.number("eth_blockNumber", "")? <= number as u64 {}
        taken.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let cost = server.cost();
    println!("\n{AUTOMINE_BLOCKS} blocks of one transaction, each waited for\n");
    for (name, part) in [("first", &taken[..500]), ("last", &taken[AUTOMINE_BLOCKS - 500..])] {
        println!("- {name} 500: median {:.2} ms", median(part.to_vec()));
    }
    println!("- all: {:.1} s wall, {:.1} s CPU", taken.iter().sum::<f64>() / 1e3, cost.cpu);
    server.stop()
}

const RESIDENTS: usize = 1_000_000;

fn memory(options: &Options) -> Result<()> {
    let (folder, data) = (options.folder("residents"), options.folder("residents-data"));
    chain::write(&folder, &options.binary, RESIDENTS)?;
    fresh(&data)?;
    let command = format!(
        "{} node --chain {}/external.toml --datadir {} --no-listen --rpc-port {{port}}",
        options.binary.display(),
        folder.display(),
        data.display()
    );
    println!("\na state of {RESIDENTS} accounts\n");
    for what in ["first start, from the genesis file", "second start"] {
        let started = Instant::now();
        let server = Server::start(&command, &options.folder("memory.log"))?;
        let (ready, cost) = (started.elapsed().as_secs_f64(), server.cost());
        let each = cost.memory as f64 / RESIDENTS as f64;
        println!(
            "- {what}: ready after {ready:.1} s, peak {} MB, {each:.0} bytes an account",
            cost.memory / 1_000_000
        );
        server.stop()?;
    }
    fresh(&folder)?;
    fresh(&data)
}

/// Prints a table of one thing.
type Measure = fn(&Options) -> Result<()>;

/// Measures and prints tables.
///
/// # Errors
/// When a program fails or refuses a transaction.
pub(crate) fn run(options: &Options) -> Result<()> {
    fs::create_dir_all(&options.work)?;
    chain::write(&options.folder("chain"), &options.binary, 0)?;
    let parts: [(What, Measure); 4] =
        [(What::Rpc, rpc), (What::Import, import), (What::Automine, automine), (What::Memory, memory)];
    for (what, measured) in parts {
        if options.measures(what) {
            measured(options)?;
        }
    }
    Ok(())
}
