//! A small server for the built page: files of one folder, to this machine only.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// A request line and headers longer than this are not a browser's.
const REQUEST_BYTES: u64 = 64 * 1024;

/// Answers on `listener` from the files in `folder`, for ever.
pub(crate) fn serve(listener: &TcpListener, folder: &Path) -> ! {
    loop {
        // A connection that ended before it was taken is the browser's business.
        let Ok((stream, _)) = listener.accept() else {
            continue;
        };
        let folder = folder.to_path_buf();
        std::thread::spawn(move || answer(stream, &folder).ok());
    }
}

fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream.try_clone()?.take(REQUEST_BYTES)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The headers say nothing that matters here, but must be read before the answer.
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}

    let mut words = request.split(' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let (status, kind, body) = match (method, file(folder, target)) {
        ("GET" | "HEAD", Some(path)) => match fs::read(&path) {
            Ok(body) => ("200 OK", content_type(&path), body),
            Err(_) => ("404 Not Found", "text/plain", b"not found\n".to_vec()),
        },
        ("GET" | "HEAD", None) => ("404 Not Found", "text/plain", b"not found\n".to_vec()),
        _ => (
            "405 Method Not Allowed",
            "text/plain",
            b"GET and HEAD only\n".to_vec(),
        ),
    };
    let length = body.len();
    // The page may be built again between two visits.
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    if method == "GET" {
        stream.write_all(&body)?;
    }
    stream.flush()
}

/// The file a request's target names, never outside `folder`.
fn file(folder: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = decoded(path)?;
    let inside = Path::new(&path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !inside {
        return None;
    }
    let file = folder.join(&path);
    Some(if file.is_dir() {
        file.join("index.html")
    } else {
        file
    })
}

/// `%41` becomes `A`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        // Compiled while it arrives only under this name.
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stay_inside_the_folder() {
        let folder = Path::new("/nowhere");
        assert_eq!(file(folder, "/a/b.js?v=1"), Some(folder.join("a/b.js")));
        assert_eq!(file(folder, "/a%20b.png"), Some(folder.join("a b.png")));
        for outside in [
            "/../x",
            "/a/../../x",
            "/%2e%2e/x",
            "//etc/passwd",
            "x",
            "/%2",
            "/%ff",
        ] {
            assert_eq!(file(folder, outside), None, "{outside}");
        }
    }

    #[test]
    fn a_file_is_served_and_a_missing_one_is_not() -> std::io::Result<()> {
        let folder = std::env::temp_dir().join(format!("xtask-http-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("index.html"), "hello")?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let served = folder.clone();
        std::thread::spawn(move || serve(&listener, &served));
        let ask = |request: &str| -> std::io::Result<String> {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(request.as_bytes())?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply)?;
            Ok(reply)
        };
        let found = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
        assert!(
            found.starts_with("HTTP/1.1 200 ") && found.ends_with("\r\n\r\nhello"),
            "{found}"
        );
        let missing = ask("GET /no.js HTTP/1.1\r\n\r\n")?;
        assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
        let refused = ask("POST / HTTP/1.1\r\n\r\n")?;
        assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
        fs::remove_dir_all(folder)
    }
}
