use std::io::{BufRead, BufReader, Read, Seek};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::*;

/// Answers each connection with the next text, then closes it. Returns the address.
fn server(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            read_request(&stream);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

fn read_request(stream: &TcpStream) {
    let lines = BufReader::new(stream).lines();
    for line in lines.map_while(Result::ok) {
        if line.is_empty() {
            return;
        }
    }
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn client() -> Client {
    Client::with_max_wait(Duration::from_millis(300), false)
}

/// Returns the problem that a response causes.
fn problem_with(answers: Vec<Vec<u8>>) -> String {
    let address = server(answers);
    client().get(&address).unwrap_err().problem.to_string()
}

#[test]
fn feeds_are_read_plain_compressed_and_through_redirects() {
    let feed = b"{\"last_updated\":1}";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(feed).unwrap();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n12\r\n{\"last_updated\":1}\r\n0\r\n\r\n";
    let elsewhere = server(vec![answer("200 OK", feed)]);
    let address = server(vec![
        answer("200 OK", feed),
        answer("200 OK\r\ncontent-encoding: gzip", &gzip.finish().unwrap()),
        chunked.to_vec(),
        answer("302 Found\r\nlocation: /other", b""),
        answer("200 OK", feed),
        answer(&format!("301 Moved\r\nlocation: {elsewhere}/feed"), b""),
    ]);
    for _ in 0..5 {
        assert_eq!(client().get(&address).unwrap(), feed);
    }
}

#[test]
fn a_download_is_named_by_its_address() {
    let bytes: Vec<u8> = (0..600_000_u32).map(|n| n as u8).collect();
    let address = server(vec![answer("200 OK", &bytes)]);
    let mut file = tempfile::tempfile().unwrap();
    let url = format!("{address}/tripdata/202004%20divvy.zip?versionId=7#top");
    let name = client().download(&url, &mut file, 1 << 20).unwrap();
    assert_eq!(name, "202004 divvy.zip");
    let mut saved = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut saved).unwrap();
    assert!(saved == bytes);
}

#[test]
fn a_download_is_the_file_that_was_published() {
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let (table, zip) = (
        &b"ride_id,rideable_type\n"[..],
        &b"PK\x03\x04 and so on"[..],
    );
    let packed = gzip(table);
    for (name, body, published) in [
        ("trips.csv.gz", packed.clone(), &packed[..]),
        ("trips.csv.gz", gzip(&packed), &packed),
        ("trips.csv", packed.clone(), table),
        ("trips.zip", gzip(zip), zip),
    ] {
        let address = server(vec![answer("200 OK\r\nContent-Encoding: gzip", &body)]);
        let mut file = tempfile::tempfile().unwrap();
        let url = format!("{address}/{name}");
        client().download(&url, &mut file, 1 << 20).unwrap();
        let mut saved = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut saved).unwrap();
        assert!(saved == published, "{name}");
    }
}

#[test]
fn names_from_addresses() {
    let name = |url: &str| body::file_name(&url.parse().unwrap());
    assert_eq!(name("https://host/a/b.csv.gz"), "b.csv.gz");
    assert_eq!(name("https://host"), "host");
    assert_eq!(name("https://host/a/"), "host");
    assert_eq!(name("https://host/a/%2e%2E"), "host");
    assert_eq!(name("https://host/%2fetc%2Fpasswd%00"), "_etc_passwd_");
    assert_eq!(name("https://host/50%25%zz%"), "50%%zz%");
}

#[test]
fn addresses_and_paths() {
    for url in ["http://a/b", "HTTPS://a", "http://"] {
        assert!(is_url(url), "{url}");
    }
    for path in [
        "http",
        "httpd/x.zip",
        "./http://",
        "ftp://a/b",
        "",
        "hütte://",
    ] {
        assert!(!is_url(path), "{path}");
    }
}

#[test]
fn each_failure_is_one_sentence() {
    let status = |status: &str| vec![answer(status, b"<html>Sorry</html>")];
    let redirect = |to: &str| answer(&format!("302 Found\r\nlocation: {to}"), b"");
    let too_long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 65 << 20);
    let too_long = [too_long.as_bytes(), &vec![b' '; 65 << 20]].concat();
    let sentences = [
        problem_with(status("403 Forbidden")),
        problem_with(status("404 Not Found")),
        problem_with(status("429 Slow Down")),
        problem_with(status("503 Service Unavailable")),
        problem_with(status("304 Not Modified")),
        problem_with(status("206 Partial Content")),
        problem_with(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()]),
        problem_with(vec![redirect("ftp://host/trips.zip")]),
        problem_with(vec![redirect("/round"); 10]),
        problem_with(vec![
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec(),
        ]),
        problem_with(vec![b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()]),
        problem_with(vec![b"".to_vec()]),
        problem_with(vec![answer(
            "200 OK\r\ncontent-encoding: gzip",
            b"not gzip at all",
        )]),
        // 65 MiB take longer than the others.
        Client::new()
            .get(&server(vec![too_long]))
            .unwrap_err()
            .problem
            .to_string(),
    ];
    insta::assert_snapshot!(sentences.join("\n"), @r#"
the server answers 403: access denied; the file may not exist, or is not public
the server answers 404: there is no such file; check the address
the server answers 429: too many requests; wait some minutes
the server answers 503: the server has failed; try again later
the server answers 304: this is not the file; check the address
the server answers 206: that is a part of the file, and the whole was asked for; try again
the server answers 204: this is not the file; check the address
the server sends us to an address that is not followed (unknown scheme: ftp)
the server sends us on more than 5 times: check the address
the connection failed (Peer disconnected): try again
the answer makes no sense (http parse fail: invalid HTTP version): check the address, or try again
the connection failed (Peer disconnected): try again
the answer makes no sense (invalid gzip header): check the address, or try again
the answer is longer than 64 MiB and is not read: check the address
"#);
}

#[test]
fn hosts_that_cannot_be_reached() {
    let get = |url: &str| client().get(url).unwrap_err().to_string();
    // A label of this length is no valid name, so no resolver is used.
    let no_name = format!("http://{}.invalid/", "x".repeat(70));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = format!("http://{}/", taken.local_addr().unwrap());
    drop(taken);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = (format!("http://{}/", silent.local_addr().unwrap()), silent);
    let plain = server(vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]);
    let sentences = [
        get(&no_name).replace(&no_name, "NO-NAME"),
        get(&refusing).replace(&refusing, "REFUSING"),
        get(&silent.0).replace(&silent.0, "SILENT"),
        get(&plain.replace("http:", "https:")).replace(&plain[5..], "PLAIN"),
        get("http://"),
        get("stations.json"),
        get("http://white space/"),
    ];
    insta::assert_snapshot!(sentences.join("\n"), @r#"
NO-NAME: no host of that name can be found: check the address and the network
REFUSING: the host refuses connections: check the address, or try again later
SILENT: no answer in time: try again later
https:PLAIN: no secure connection can be made (received corrupt message of type InvalidContentType): check the address, the clock of this computer and the certificate of the host
http://: this is no address of the web: write http:// or https://, a host and a path
stations.json: this is no address of the web: write http:// or https://, a host and a path
http://white space/: this is no address of the web: write http:// or https://, a host and a path
"#);
}

#[test]
fn a_full_disk_and_a_limit_stop_a_download() {
    let address = server(vec![
        answer("200 OK", &[0; 2000]),
        answer("200 OK", &[0; 2000]),
    ]);
    let mut file = tempfile::tempfile().unwrap();
    let limited = client().download(&address, &mut file, 1000).unwrap_err();
    assert!(matches!(
        limited.problem,
        Problem::TooLarge { max_bytes: 1000 }
    ));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read-only");
    std::fs::write(&path, "").unwrap();
    let unsaved = client().download(&address, &mut File::open(path).unwrap(), 5000);
    assert!(matches!(unsaved.unwrap_err().problem, Problem::Save(_)));
}

#[test]
fn a_server_that_sends_too_slowly_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/trips.zip", listener.local_addr().unwrap());
    // It ends when the receiver is dropped.
    let sending = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&stream);
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
        let mut sent = stream.write_all(head);
        while sent.is_ok() {
            thread::sleep(Duration::from_millis(20));
            sent = stream.write_all(b"P");
        }
    });
    let mut file = tempfile::tempfile().unwrap();
    let error = client().download(&address, &mut file, 1 << 20).unwrap_err();
    assert!(matches!(error.problem, Problem::TooSlow), "{error}");
    sending.join().unwrap();
}

#[test]
fn a_public_only_client_connects_to_no_other_host() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Client::with_max_wait(Duration::from_secs(5), true);
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "2130706433",
    ] {
        let error = client.get(&format!("http://{host}:{port}/")).unwrap_err();
        let is_refused = matches!(
            error.problem,
            Problem::NotPublic { .. } | Problem::NoSuchHost
        );
        assert!(is_refused, "{error}");
    }
    let metadata = client
        .get("http://169.254.169.254/latest/meta-data/")
        .unwrap_err();
    insta::assert_snapshot!(metadata, @"http://169.254.169.254/latest/meta-data/: 169.254.169.254 is 169.254.169.254, which is no address of the public internet: it is not asked");
    assert!(listener.accept().is_err(), "no connection was made");
}
