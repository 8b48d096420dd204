//! A server of the feeds of case 51, which misbehaves by name, as `serve_feeds.py` does.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// The address that the files name.
const NAMED: &str = "127.0.0.1:8765";

/// Serves the files of a folder until the process ends. Returns the address, such as
/// `127.0.0.1:40000`.
pub(super) fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let own = address.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client may leave before it has been answered.
            let _ = stream.and_then(|stream| answer(&folder, &own, stream));
        }
    });
    address
}

fn answer(folder: &Path, address: &str, mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    // The headers, up to an empty line.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let name = request.split(' ').nth(1).unwrap_or("/")[1..].to_owned();
    let file = |name: &str| std::fs::read(folder.join(name)).ok();
    let page = |text: &str| Some(text.as_bytes().to_vec());
    let (status, header, body) = match name.as_str() {
        "redir.json" => ("302 Found", "Location: /nb.json\r\n", None),
        "403html.json" => ("403 Forbidden", "", page("<html>Attention Required</html>")),
        "200html.json" => (
            "200 OK",
            "",
            page("<!doctype html><html>Maintenance</html>"),
        ),
        "500.json" => ("500 Internal Server Error", "", None),
        "429.json" => ("429 Too Many Requests", "Retry-After: 1\r\n", None),
        "204.json" => ("204 No Content", "", None),
        "gzenc.json" => ("200 OK", "Content-Encoding: gzip\r\n", file("si.json.gz")),
        "short.json" => ("200 OK", "", file("si.json")),
        other => match file(other) {
            None => ("404 Not Found", "", None),
            // Only text names the address.
            Some(bytes) => match String::from_utf8(bytes) {
                Ok(text) => ("200 OK", "", page(&text.replace(NAMED, address))),
                Err(binary) => ("200 OK", "", Some(binary.into_bytes())),
            },
        },
    };
    let body = body.unwrap_or_default();
    let stated = body.len() + if name == "short.json" { 50 } else { 0 };
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{header}Content-Length: {stated}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}
