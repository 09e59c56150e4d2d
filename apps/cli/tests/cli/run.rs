//! Starting the binary and reading what it says.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary of this build.
pub(crate) fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_chainwright"))
}

/// Runs to the end.
#[track_caller]
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    binary().args(arguments).current_dir(folder).output().unwrap()
}

/// What a run said on standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a run said on standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs something that must fail with a code and words, and never panic.
#[track_caller]
pub(crate) fn check_refused(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let output = run(folder, arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: no `{word}` in: {said}");
    }
}

/// A port nobody listens on now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The official vectors, if they are here.
pub(crate) fn vectors() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let folder = std::env::var_os("CHAINWRIGHT_VECTORS").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let is_required = std::env::var_os("CHAINWRIGHT_REQUIRE_VECTORS").is_some_and(|value| value == "1");
    assert!(!is_required, "no vectors in {}", folder.display());
    eprintln!("SKIPPED: no vectors in {} (set CHAINWRIGHT_VECTORS)", folder.display());
    None
}

/// A started process; dropping it kills exactly this process.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    errors: PathBuf,
}

impl Running {
    /// Starts the binary with its output in files of `folder`.
    #[track_caller]
    pub(crate) fn start(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        let (out, errors) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let file = |path: &Path| std::fs::File::create(path).unwrap();
        let child = binary()
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&errors))
            .spawn()
            .unwrap();
        Self { child, out, errors }
    }

    /// Standard output so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Standard error so far.
    pub(crate) fn complained(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// The first JSON line with this event, waited for.
    #[track_caller]
    pub(crate) fn event(&mut self, name: &str, node: Option<u64>) -> Value {
        let is_it = |event: &Value| event["event"] == name && node.is_none_or(|node| event["node"] == node);
        self.wait_for(name, |said| {
            said.lines().filter_map(|line| serde_json::from_str(line).ok()).find(is_it)
        })
    }

    /// Waits until standard output holds something.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look(&self.said()) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            let state = || format!("out: {}\nerr: {}", self.said(), self.complained());
            assert!(ended.is_none(), "ended with {ended:?} before {what}\n{}", state());
            assert!(started.elapsed() < Duration::from_mins(2), "waited too long for {what}\n{}", state());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal by its name and waits for the end; the exit code, if there is one.
    #[track_caller]
    pub(crate) fn signal(&mut self, name: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(id).status().unwrap().success());
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < Duration::from_mins(1), "does not end: {}", self.complained());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One JSON-RPC call with a node's cookie.
#[track_caller]
pub(crate) fn rpc(address: &str, cookie: &Path, method: &str, params: Value) -> Value {
    try_rpc(address, cookie, method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
}

/// As [`rpc`]; what came instead of a result.
pub(crate) fn try_rpc(address: &str, cookie: &Path, method: &str, params: Value) -> Result<Value, String> {
    use base64::Engine as _;
    use std::io::Write as _;
    let failed = |error: std::io::Error| error.to_string();
    let login = std::fs::read_to_string(cookie).map_err(failed)?;
    let login = base64::engine::general_purpose::STANDARD.encode(login.trim());
    let body = serde_json::json!({ "id": 1, "method": method, "params": params }).to_string();
    let mut socket = std::net::TcpStream::connect(address).map_err(failed)?;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).map_err(failed)?;
    let json = answer.split_once("\r\n\r\n").map_or("", |(_, json)| json);
    match serde_json::from_str::<Value>(json) {
        Ok(reply) if reply["error"].is_null() => Ok(reply["result"].clone()),
        _ => Err(answer),
    }
}
