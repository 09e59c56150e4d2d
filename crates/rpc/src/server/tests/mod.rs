//! The server over a real socket on loopback.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use chainwright_chain::{BlockId, Height, Notice, Timestamp};
use futures_channel::mpsc;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::method::{Kind, Method, Parameter};
use crate::probe::{ChainFigures, EventDetail, EventLine, EventsError, HeadInfo, Page};
use crate::testing::TestHost;

/// A chain of as many blocks as it is told, whose events are their heights.
#[derive(Default)]
struct TestProbe {
    height: Mutex<u32>,
    /// Held by a test to make the chain slow to answer.
    hold: Mutex<()>,
    subscribers: Mutex<Vec<mpsc::Sender<Notice>>>,
}

impl TestProbe {
    fn grow(&self) {
        *self.height.lock() += 1;
        for subscriber in self.subscribers.lock().iter_mut() {
            let _ = subscriber.try_send(Notice::Head(BlockId::ZERO, Height(1)));
        }
    }
}

impl Probe for TestProbe {
    fn figures(&self) -> ChainFigures {
        let _waits = self.hold.lock();
        ChainFigures {
            head: HeadInfo { height: Height(*self.height.lock()), id: "00".into(), time: Timestamp(5) },
            best_header: Height(3),
            finalized: None,
            fault: None,
        }
    }

    fn pool_size(&self) -> (usize, usize) {
        (0, 0)
    }

    fn is_active(&self, _: &BlockId) -> bool {
        true
    }

    fn subscribe(&self) -> mpsc::Receiver<Notice> {
        let (sender, receiver) = mpsc::channel(8);
        self.subscribers.lock().push(sender);
        receiver
    }

    fn events(
        &self,
        cursor: Option<&str>,
        page: Page,
        _: EventDetail,
    ) -> Result<Vec<EventLine>, EventsError> {
        let start = match cursor {
            None => 0,
            Some(cursor) => cursor.parse::<u32>().map_err(|_| EventsError::Malformed)? + 1,
        };
        let line = |height: u32| EventLine {
            cursor: height.to_string(),
            text: json!({ "height": height }).to_string(),
        };
        Ok((start..=*self.height.lock()).map(line).take(page.lines).collect())
    }
}

mod web;

struct TestDialect;

impl Dialect for TestDialect {
    fn name(&self) -> &'static str {
        "test"
    }

    fn methods(self: Arc<Self>) -> Vec<Method> {
        let sleep = Method {
            name: "sleep",
            category: "hidden",
            parameters: const { &[Parameter::required("ms", Kind::Number, "")] },
            description: "",
            handler: Arc::new(|call| {
                std::thread::sleep(Duration::from_millis(call.integer(0)?.unwrap_or(0)));
                Ok(Value::Null)
            }),
        };
        vec![sleep]
    }
}

async fn start(change: impl FnOnce(&mut ServerConfig)) -> (Server, Arc<TestHost>, Arc<TestProbe>) {
    let mut config = ServerConfig { body_bytes_max: 5000, ..ServerConfig::default() };
    config.auth.user_password = Some(("user".into(), "secret".into()));
    change(&mut config);
    let (host, probe) = (Arc::new(TestHost::default()), Arc::new(TestProbe::default()));
    let parts =
        ServerParts { dialects: vec![Arc::new(TestDialect)], probe: probe.clone(), host: host.clone() };
    (Server::start(config, parts).await.unwrap(), host, probe)
}

/// Sends bytes, reads until the other side closes.
async fn exchange(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn authorization(user_password: &str) -> String {
    format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(user_password))
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn get(path: &str) -> Vec<u8> {
    let headers = authorization("user:secret");
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

#[track_caller]
fn check_answer(answer: &str, status: u16, contents: &[&str]) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    for content in contents {
        assert!(answer.contains(content), "no {content:?} in {answer}");
    }
}

const UPTIME: &str = r#"{"method":"uptime","id":1}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_knows_the_password_is_answered() {
    let (server, ..) = start(|_| {}).await;
    let right = exchange(&server, &post(&authorization("user:secret"), UPTIME)).await;
    check_answer(&right, 200, &["application/json", "{\"result\":42,\"error\":null,\"id\":1}\n"]);
    let without = exchange(&server, &post("", UPTIME)).await;
    check_answer(&without, 401, &["www-authenticate: Basic realm=\"jsonrpc\""]);
    let began = Instant::now();
    let wrong = exchange(&server, &post(&authorization("user:wrong"), UPTIME)).await;
    check_answer(&wrong, 401, &[]);
    assert!(began.elapsed() >= Duration::from_millis(250), "a wrong password costs time");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cookie_opens_and_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".cookie");
    let auth = AuthConfig { cookie_path: Some(path.clone()), ..AuthConfig::default() };
    let (server, ..) = start(|config| config.auth = auth).await;
    let cookie = std::fs::read_to_string(&path).unwrap();
    check_answer(&exchange(&server, &post(&authorization(&cookie), UPTIME)).await, 200, &[]);
    server.stop().await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_codes_follow_the_version_of_the_request() {
    let (server, ..) = start(|_| {}).await;
    let auth = authorization("user:secret");
    for (body, status) in [
        (r#"{"method":"nosuch","id":1}"#, 404),
        (r#"{"jsonrpc":"2.0","method":"nosuch","id":1}"#, 200),
        (r#"{"method":"sleep","id":1}"#, 500),
        (r#"{"method":7,"id":1}"#, 400),
        (r#"{"jsonrpc":"2.0","method":"uptime"}"#, 204),
        (r#"[{"method":"uptime","id":1},{"method":"uptime","id":2}]"#, 200),
        ("nonsense", 500),
    ] {
        check_answer(&exchange(&server, &post(&auth, body)).await, status, &[]);
    }
    check_answer(&exchange(&server, &get("/")).await, 405, &["JSONRPC server handles only POST requests"]);
    check_answer(&exchange(&server, &get("/nosuch")).await, 404, &[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_big_or_no_http_is_refused() {
    let (server, ..) = start(|config| config.request_timeout = Duration::from_millis(300)).await;
    let auth = authorization("user:secret");
    let big = exchange(&server, &post(&auth, &" ".repeat(5001))).await;
    check_answer(&big, 413, &["limit of 5000 bytes"]);
    let chunk = format!("{:x}\r\n{}\r\n", 6000, "a".repeat(6000));
    let chunked =
        format!("POST / HTTP/1.1\r\nHost: a\r\n{auth}Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
    check_answer(&exchange(&server, chunked.as_bytes()).await, 413, &[]);
    let headers = format!("X: {}\r\n", "x".repeat(20_000));
    check_answer(&exchange(&server, &post(&headers, UPTIME)).await, 431, &[]);
    check_answer(&exchange(&server, b"\x16\x03\x01 garbage\r\n\r\n").await, 400, &[]);
    // Half a request: the body never comes, or not even the headers.
    let short = post(&auth, UPTIME);
    check_answer(&exchange(&server, &short[..short.len() - 1]).await, 408, &[]);
    assert_eq!(exchange(&server, b"POST / HTTP/1.1\r\n").await, "");
    let batch = format!("[{}]", vec!["1"; 1001].join(","));
    check_answer(&exchange(&server, &post(&auth, &batch)).await, 400, &["over the limit of 1000"]);
    check_answer(&exchange(&server, &post(&auth, UPTIME)).await, 200, &[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_recovers() {
    let (server, ..) = start(|config| (config.threads, config.queue_depth) = (1, 1)).await;
    let request = post(&authorization("user:secret"), r#"{"method":"sleep","params":[400],"id":1}"#);
    let answers = tokio::join!(
        exchange(&server, &request),
        exchange(&server, &request),
        exchange(&server, &request),
        exchange(&server, &request)
    );
    let answers: [String; 4] = answers.into();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 503")).collect();
    assert_eq!(refused.len(), 2, "one runs, one waits, two are refused: {answers:?}");
    assert!(refused.iter().all(|answer| answer.contains("Work queue depth exceeded")));
    check_answer(&exchange(&server, &request).await, 200, &[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_metrics_tell_how_the_chain_stands() {
    let (server, _, probe) = start(|_| {}).await;
    check_answer(&exchange(&server, &get("/health/live")).await, 200, &["live"]);
    check_answer(&exchange(&server, &get("/health/ready")).await, 503, &["\"blocks_behind\":3"]);
    check_answer(&exchange(&server, &get("/health/ready?max_blocks_behind=3")).await, 200, &[]);
    check_answer(&exchange(&server, &get("/health/ready?max_blocks_behind=x")).await, 400, &[]);
    probe.grow();
    check_answer(&exchange(&server, &get("/health/ready")).await, 200, &["\"ready\":true"]);
    exchange(&server, &post(&authorization("user:secret"), UPTIME)).await;
    let lines = [
        "chainwright_head_height 1\n",
        "chainwright_rpc_calls_total{method=\"uptime\",result=\"ok\"} 1",
        "chainwright_rpc_latency_seconds_count{method=\"uptime\"} 1",
        "chainwright_network_bytes{direction=\"in\"} 7",
    ];
    check_answer(&exchange(&server, &get("/metrics")).await, 200, &lines);
    server.stop().await;
}

/// One thread carries all sockets here: if a question about readiness blocked it, nothing else would be answered.
#[tokio::test]
async fn a_slow_chain_blocks_no_thread_of_the_runtime() {
    let (server, _, probe) = start(|_| {}).await;
    let (held, is_held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _hold = probe.hold.lock();
        held.send(()).unwrap();
        let _ = released.recv_timeout(Duration::from_secs(10));
    });
    is_held.recv().unwrap();
    let path = get("/health/ready?max_blocks_behind=3");
    let (ready, ()) = tokio::join!(exchange(&server, &path), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let began = Instant::now();
        check_answer(&exchange(&server, &get("/health/live")).await, 200, &[]);
        assert!(began.elapsed() < Duration::from_secs(4), "held up by the question before");
        drop(release);
    });
    check_answer(&ready, 200, &["\"ready\":true"]);
    holder.join().unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_on_from_their_cursor_and_wait_for_more() {
    let (server, _, probe) = start(|_| {}).await;
    check_answer(&exchange(&server, &get("/events?limit=5")).await, 200, &["\r\n\r\n{\"height\":0}\n"]);
    let nothing = exchange(&server, &get("/events?limit=5&cursor=0&wait=0")).await;
    check_answer(&nothing, 200, &["content-length: 0"]);
    check_answer(&exchange(&server, &get("/events?cursor=x&limit=1")).await, 400, &["HEIGHT:ID"]);
    for (path, why) in [
        ("/events?limit=1&cusror=0", "no parameter \"cusror\"; known: cursor, limit, wait, include"),
        ("/events?limit=1&include=blocks", "\"blocks\" cannot be included"),
        ("/health/ready?max_behind=3", "no parameter \"max_behind\""),
    ] {
        check_answer(&exchange(&server, &get(path)).await, 400, &[why]);
    }
    let path = get("/events?limit=5&cursor=0");
    let waiting = exchange(&server, &path);
    let grow = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        probe.grow();
    };
    let (answer, ()) = tokio::join!(waiting, grow);
    check_answer(&answer, 200, &["{\"height\":1}\n"]);
    let path = get("/events?cursor=0");
    let streaming = exchange(&server, &path);
    let (answer, ()) = tokio::join!(streaming, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        probe.grow();
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.shared.stopping.store(true, Ordering::Relaxed);
        server.shared.stop.send_replace(true);
    });
    check_answer(&answer, 200, &["application/x-ndjson", "{\"height\":1}\n", "{\"height\":2}\n"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_methods_reach_the_host() {
    let (server, host, _) = start(|_| {}).await;
    let auth = authorization("user:secret");
    for (body, result) in [
        (r#"{"method":"help","id":1}"#, "== Control =="),
        (r#"{"method":"help","params":["stop"],"id":1}"#, "\"result\":\"stop ( wait )"),
        (r#"{"method":"help","params":["x"],"id":1}"#, "\"help: unknown command: x\""),
        (r#"{"method":"echo","params":[1,null,"a"],"id":1}"#, "[1,null,\"a\"]"),
        (
            r#"{"method":"getrpcinfo","id":1}"#,
            "{\"active_commands\":[{\"method\":\"getrpcinfo\",\"duration\":",
        ),
        (r#"{"method":"setmocktime","params":[99],"id":1}"#, "\"result\":null"),
        (r#"{"method":"logging","params":[["rpc"]],"id":1}"#, "{\"rpc\":false}"),
        (r#"{"method":"stop","id":1}"#, "\"Chainwright stopping\""),
    ] {
        check_answer(&exchange(&server, &post(&auth, body)).await, 200, &[result]);
    }
    assert_eq!(*host.mock_time.lock(), Some(Timestamp(99)));
    assert!(host.stopped.load(Ordering::Relaxed));
    server.stop().await;
}
