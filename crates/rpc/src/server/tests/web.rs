//! WebSockets, browsers, and servers that ask for no login.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::dialect::{Follower, Style};
use crate::error::RpcError;
use crate::session::Session;

/// Pushes every new height to whoever subscribed; floods whoever asks for it.
#[derive(Default)]
struct Pusher {
    subscribed: Mutex<Vec<Session>>,
    closed: Mutex<Vec<u64>>,
}

impl Dialect for Pusher {
    fn name(&self) -> &'static str {
        "pusher"
    }

    fn style(&self) -> Style {
        Style::JsonRpc2
    }

    fn is_public(&self) -> bool {
        true
    }

    fn methods(self: Arc<Self>) -> Vec<Method> {
        let bind = |name, handler: crate::method::Handler| Method {
            name,
            category: "hidden",
            parameters: &[],
            description: "",
            handler,
        };
        let dialect = Arc::clone(&self);
        let subscribe = move |call: &crate::method::Call| {
            let session = call.session()?.clone();
            let (id, dialect) = (session.id(), Arc::clone(&dialect));
            call.after_reply(move || dialect.subscribed.lock().push(session));
            Ok(json!(id))
        };
        let flood = |call: &crate::method::Call| {
            let session = call.session()?.clone();
            let long = "a".repeat(100_000);
            while session.push(long.clone()).is_ok() {}
            Err::<Value, _>(RpcError::misc("gone"))
        };
        let nap = |_: &crate::method::Call| {
            std::thread::sleep(Duration::from_millis(20));
            Ok(Value::Null)
        };
        vec![
            bind("subscribe", Arc::new(subscribe)),
            bind("flood", Arc::new(flood)),
            bind("nap", Arc::new(nap)),
        ]
    }

    fn follower(self: Arc<Self>) -> Option<Follower> {
        Some(Box::new(move |notices| {
            for notice in notices {
                if let Notice::Head(_, height) = notice {
                    self.subscribed.lock().retain(|session| session.notify("head", json!(height.0)).is_ok());
                }
            }
        }))
    }

    fn closed(&self, session: &Session) {
        self.closed.lock().push(session.id());
    }
}

async fn start_open(change: impl FnOnce(&mut ServerConfig)) -> (Server, Arc<TestProbe>, Arc<Pusher>) {
    let mut config = ServerConfig { open: Some(OpenAccess::default()), ..ServerConfig::default() };
    config.auth.user_password = Some(("user".into(), "secret".into()));
    change(&mut config);
    let (probe, dialect) = (Arc::new(TestProbe::default()), Arc::new(Pusher::default()));
    let dialects: Vec<Arc<dyn Dialect>> = vec![Arc::new(TestDialect), dialect.clone()];
    let parts = ServerParts { dialects, probe: probe.clone(), host: Arc::new(TestHost::default()) };
    (Server::start(config, parts).await.unwrap(), probe, dialect)
}

const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: close, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn handshake(headers: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{HANDSHAKE}{headers}\r\n").into_bytes()
}

/// Opens a WebSocket; the head of the answer is checked by its end.
async fn open_socket(server: &Server) -> WebSocketStream<TcpStream> {
    let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    stream.write_all(&handshake("")).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    // The example of RFC 6455 § 1.3.
    check_answer(&head, 101, &["sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

async fn next_text(socket: &mut WebSocketStream<TcpStream>) -> String {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.expect("in time");
        match next.expect("a message").unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Close(frame) => {
                return format!("closed: {}", frame.map(|it| it.reason.to_string()).unwrap_or_default());
            }
            _ => {}
        }
    }
}

fn call(method: &str, id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","id":{id}}}"#)
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_answers_and_hears_what_is_pushed() {
    let (server, probe, dialect) = start_open(|_| {}).await;
    let mut socket = open_socket(&server).await;
    socket.send(Message::text(format!("[{},{}]", call("subscribe", 1), call("nosuch", 2)))).await.unwrap();
    let error = r#""error":{"code":-32601,"message":"the method nosuch does not exist/is not available"}"#;
    let expected = format!(r#"[{{"jsonrpc":"2.0","id":1,"result":1}},{{"jsonrpc":"2.0","id":2,{error}}}]"#);
    assert_eq!(next_text(&mut socket).await, expected);
    while dialect.subscribed.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    probe.grow();
    assert_eq!(next_text(&mut socket).await, r#"{"jsonrpc":"2.0","method":"head","params":1}"#);
    socket.send(Message::text(call("stop", 3))).await.unwrap();
    assert!(next_text(&mut socket).await.contains("needs the operator's login"));
    drop(socket);
    while dialect.closed.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut socket = open_socket(&server).await;
    let (farewell, ()) = tokio::join!(next_text(&mut socket), server.stop());
    assert_eq!(farewell, "closed: the node stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_too_slow_is_disconnected() {
    let (server, _, dialect) = start_open(|_| {}).await;
    let mut socket = open_socket(&server).await;
    socket.send(Message::text(call("flood", 1))).await.unwrap();
    // Nothing is read here: the server gives up by itself.
    let given_up = tokio::time::timeout(Duration::from_secs(20), async {
        while dialect.closed.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    given_up.await.expect("the session is closed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_have_limits() {
    let (server, ..) = start_open(|config| (config.sockets_max, config.body_bytes_max) = (1, 1000)).await;
    let mut socket = open_socket(&server).await;
    check_answer(&exchange(&server, &handshake("")).await, 503, &["too many WebSockets"]);
    socket.send(Message::text(" ".repeat(1001))).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        while !matches!(socket.next().await, None | Some(Err(_))) {}
    });
    ended.await.expect("a message that is too long ends the connection");
    let mut old = handshake("");
    let at = old.windows(2).position(|two| two == b"13").unwrap();
    old[at] = b'0';
    check_answer(&exchange(&server, &old).await, 426, &["sec-websocket-version: 13"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_server_trusts_no_web_page() {
    let (server, ..) = start_open(|config| config.cors_origins = vec!["http://friend:1".into()]).await;
    let ask = |method: &str, headers: &str| {
        let request = String::from_utf8(post(headers, &call(method, 1))).unwrap();
        request.replace("Host: a\r\n", "Host: 127.0.0.1:8545\r\n").into_bytes()
    };
    let rebound = post(JSON, &call("subscribe", 1));
    check_answer(&exchange(&server, &rebound).await, 403, &["invalid host specified"]);
    check_answer(&exchange(&server, &ask("subscribe", JSON)).await, 200, &["notifications not supported"]);
    let no_json = exchange(&server, &ask("subscribe", "")).await;
    check_answer(&no_json, 415, &["only application/json is supported"]);
    check_answer(&exchange(&server, &ask("subscribe", "Content-Type: text/plain\r\n")).await, 415, &[]);
    check_answer(&exchange(&server, &ask("subscribe", &authorization("a:b"))).await, 401, &[]);
    for closed in ["sleep", "uptime"] {
        let refused = exchange(&server, &ask(closed, JSON)).await;
        check_answer(&refused, 200, &["needs the operator's login"]);
    }
    let operator = exchange(&server, &ask("uptime", &authorization("user:secret"))).await;
    check_answer(&operator, 200, &[r#""result":42"#]);
    let friend =
        exchange(&server, &ask("subscribe", &(JSON.to_owned() + "Origin: http://friend:1\r\n"))).await;
    check_answer(&friend, 200, &["access-control-allow-origin: http://friend:1\r\n", "vary: Origin"]);
    let stranger =
        exchange(&server, &ask("subscribe", &(JSON.to_owned() + "Origin: http://stranger\r\n"))).await;
    assert!(!stranger.contains("access-control"), "{stranger}");
    let preflight = |origin: &str| {
        format!("OPTIONS / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: {origin}\r\n\r\n")
            .into_bytes()
    };
    let allowed = exchange(&server, &preflight("http://friend:1")).await;
    check_answer(
        &allowed,
        204,
        &["access-control-allow-headers: content-type", "access-control-allow-methods"],
    );
    check_answer(&exchange(&server, &preflight("http://stranger")).await, 405, &[]);
    let socket = exchange(&server, &handshake("Origin: http://stranger\r\n")).await;
    check_answer(&socket, 403, &["may not open a WebSocket"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_are_answered_in_turn() {
    let narrow = |config: &mut ServerConfig| {
        (config.threads, config.queue_depth, config.connections_max) = (1, 1, 8);
        config.waiting_bytes_max = 1;
    };
    let (server, ..) = start_open(narrow).await;
    let request = post("Content-Type: application/json\r\n", &call("nap", 1));
    let request = String::from_utf8(request).unwrap().replace("Host: a\r\n", "Host: localhost\r\n");
    let calls = (0..24).map(|_| exchange(&server, request.as_bytes()));
    for answer in futures_util::future::join_all(calls).await {
        check_answer(&answer, 200, &["\"result\":null"]);
    }
    server.stop().await;
}
