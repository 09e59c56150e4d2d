//! Sending: HTTP connections that are kept, one request after the other on each.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use super::Result;

/// A connection to a JSON-RPC server on loopback.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    port: u16,
}

impl Connection {
    /// # Errors
    /// When nobody listens.
    pub(super) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), port })
    }

    /// Posts a body and gives the answer's.
    ///
    /// # Errors
    /// When the server hangs up.
    pub(super) fn post(&mut self, body: &str) -> Result<String> {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(("transfer-encoding", _)) => is_chunked = true,
                None if line.is_empty() => break,
                _ => {}
            }
        }
        let mut body = Vec::new();
        loop {
            if is_chunked {
                length = u64::from_str_radix(self.line()?.trim(), 16)?;
            }
            self.stream.by_ref().take(length).read_to_end(&mut body)?;
            if !is_chunked {
                break;
            }
            self.line()?;
            if length == 0 {
                break;
            }
        }
        Ok(String::from_utf8(body)?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the server hung up".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// A method's result that is a text.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn text(&mut self, method: &str, params: &str) -> Result<String> {
        let answer = self.post(&format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":[{params}]}}"
        ))?;
        let result = answer.split_once("\"result\":\"").and_then(|(_, rest)| rest.split_once('"'));
        Ok(result.ok_or_else(|| format!("{method}: {answer}"))?.0.to_owned())
    }

    /// As [`Connection::text`], a number.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn number(&mut self, method: &str, params: &str) -> Result<u64> {
        Ok(u64::from_str_radix(self.text(method, params)?.trim_start_matches("0x"), 16)?)
    }
}

fn request(id: usize, raw: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"eth_sendRawTransaction\",\"params\":[\"{raw}\"]}}"
    )
}

/// Sends everything: a sender's transactions in order on one of `connections`, `batch` at a time.
///
/// # Errors
/// When a transaction is refused.
pub(super) fn send(port: u16, by_sender: &[Vec<String>], connections: usize, batch: usize) -> Result<()> {
    let mut shares: Vec<Vec<&String>> = vec![Vec::new(); connections];
    let longest = by_sender.iter().map(Vec::len).max().unwrap_or_default();
    for nonce in 0..longest {
        for (number, mine) in by_sender.iter().enumerate() {
            shares[number % connections].extend(mine.get(nonce));
        }
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = shares
            .iter()
            .map(|share| {
                scope.spawn(move || send_share(port, share, batch).map_err(|error| error.to_string()))
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a sending thread panicked")??;
        }
        Ok(())
    })
}

fn send_share(port: u16, share: &[&String], batch: usize) -> Result<()> {
    let mut connection = Connection::open(port)?;
    for some in share.chunks(batch) {
        let mut body = String::new();
        if batch == 1 {
            body = request(1, some[0]);
        } else {
            for (id, raw) in some.iter().enumerate() {
                write!(body, "{}{}", if id == 0 { '[' } else { ',' }, request(id, raw))?;
            }
            body.push(']');
        }
        let answer = connection.post(&body)?;
        if answer.contains("\"error\"") {
            return Err(format!("refused: {}", answer.chars().take(300).collect::<String>()).into());
        }
    }
    Ok(())
}
