//! A WebSocket to a node, with everything it was told kept in order.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// How long one look for a message takes.
const LOOK: Duration = Duration::from_millis(50);

/// One connection with one subscription.
pub(crate) struct Subscription {
    socket: WebSocket<TcpStream>,
    id: Value,
    told: Vec<Value>,
}

impl Subscription {
    /// Connects to a node's RPC port and subscribes; `params` are those of `eth_subscribe`.
    #[track_caller]
    pub(crate) fn begin(port: u16, params: &Value) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the node listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has a timeout");
        let (mut socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}/"), stream)
            .expect("the node speaks WebSocket");
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": params });
        socket.send(Message::text(request.to_string())).expect("the node reads");
        let answer = loop {
            // A server says hello with a ping.
            if let Message::Text(text) = socket.read().expect("the node answers") {
                break serde_json::from_str::<Value>(&text).expect("an answer is JSON");
            }
        };
        assert!(answer["result"].is_string(), "{params}: {answer}");
        socket.get_mut().set_read_timeout(Some(LOOK)).expect("a socket has a timeout");
        Self { socket, id: answer["result"].clone(), told: Vec::new() }
    }

    /// Everything told so far; waits until it is `enough`.
    ///
    /// # Panics
    ///
    /// When it is not after `limit`.
    #[track_caller]
    pub(crate) fn wait(&mut self, limit: Duration, enough: impl Fn(&[Value]) -> bool) -> &[Value] {
        let started = Instant::now();
        while !enough(&self.told) {
            assert!(started.elapsed() < limit, "not enough was told: {:#?}", self.told);
            let Ok(Message::Text(text)) = self.socket.read() else { continue };
            let message: Value = serde_json::from_str(&text).expect("what is told is JSON");
            assert_eq!(message["method"], "eth_subscription", "{message}");
            assert_eq!(message["params"]["subscription"], self.id, "{message}");
            self.told.push(message["params"]["result"].clone());
        }
        &self.told
    }
}
