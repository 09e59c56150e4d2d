//! Running a command as a user would and asking the system what it cost.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What one run of a command cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Seconds by the clock.
    pub(crate) wall: f64,
    /// Seconds of all processors, user and system.
    pub(crate) cpu: f64,
    /// Largest resident set, in bytes.
    pub(crate) memory: u64,
    /// Bytes the process asked the system to write.
    pub(crate) written: u64,
}

/// Runs a command to its end. Its output goes to a file.
///
/// # Errors
/// When it cannot be started, or ends with an error.
pub(crate) fn run(command: &[String], log: &Path) -> io::Result<Cost> {
    let (program, arguments) = command.split_first().ok_or_else(|| io::Error::other("no command"))?;
    let output = fs::File::create(log)?;
    let started = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let mut cost = Cost::default();
    // A process that has ended but was not waited for still shows what it used, its memory excepted.
    let status = loop {
        let seen = Cost::of(child.id());
        cost.memory = cost.memory.max(seen.memory);
        if seen.cpu > 0.0 {
            (cost.cpu, cost.written) = (seen.cpu, cost.written.max(seen.written));
        }
        if is_over(child.id()) {
            break child.wait()?;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    cost.wall = started.elapsed().as_secs_f64();
    if status.success() {
        Ok(cost)
    } else {
        Err(io::Error::other(format!("{program} ended with {status}, see {}", log.display())))
    }
}

fn fields(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything.
    let rest = stat.rsplit_once(") ")?.1;
    Some(rest.split(' ').map(str::to_owned).collect())
}

fn is_over(process: u32) -> bool {
    fields(process).is_none_or(|fields| fields.first().is_none_or(|state| state == "Z"))
}

impl Cost {
    /// What a process has used so far, as Linux tells it.
    pub(crate) fn of(process: u32) -> Self {
        /// Clock ticks per second, the same on every Linux that matters.
        const TICKS: f64 = 100.0;
        let number = |fields: &[String], at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
        let cpu = fields(process)
            .and_then(|fields| Some((number(&fields, 11)? + number(&fields, 12)?) / TICKS))
            .unwrap_or_default();
        let line = |file: &str, name: &str| {
            let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        let memory = line("status", "VmHWM:") * 1024;
        Self { wall: 0.0, cpu, memory, written: line("io", "wchar:") }
    }
}
