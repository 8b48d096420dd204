//! Bodies of responses: their compression, their limit, and the name of a download.

use std::io::{self, Read};

use flate2::read::{GzDecoder, MultiGzDecoder};
use percent_encoding::percent_decode_str;
use ureq::Body;
use ureq::http::{Response, Uri};

use super::Problem;
use super::error::body_problem;

/// Bytes read at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// Returns whether a response is labelled as compressed by gzip. Servers do that even where it was not
/// requested.
pub(super) fn is_compressed(response: &Response<Body>) -> bool {
    let label = response.headers().get("content-encoding");
    let label = label.and_then(|label| label.to_str().ok()).map(str::trim);
    label.is_some_and(|label| {
        ["gzip", "x-gzip"]
            .iter()
            .any(|gzip| label.eq_ignore_ascii_case(gzip))
    })
}

/// Removes the compression of a body that was added for the transfer, and only that.
///
/// Servers label two kinds of bodies as compressed: those they have just compressed, although that
/// was not requested; and files that are gzip, which were stored with that label, as many a
/// `trips.csv.gz` is. The latter are saved as they are, as browsers do: unpacked they would be other
/// archives than the same ones downloaded by hand. So under a name in `.gz` the body is the file,
/// unless it holds another gzip.
pub(super) fn as_published<'a>(
    mut body: impl Read + 'a,
    name: &str,
) -> Result<Box<dyn Read + 'a>, Problem> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut head = Vec::new();
    let taken = body
        .by_ref()
        .take(BLOCK_BYTES as u64)
        .read_to_end(&mut head);
    taken.map_err(body_problem)?;
    let mut inside = [0; GZIP.len()];
    let is_read = GzDecoder::new(&head[..]).read_exact(&mut inside).is_ok();
    let is_gzip_file = name.to_ascii_lowercase().ends_with(".gz") && !(is_read && inside == GZIP);
    let body = io::Cursor::new(head).chain(body);
    Ok(if is_gzip_file {
        Box::new(body)
    } else {
        Box::new(MultiGzDecoder::new(body))
    })
}

/// Passes a body of at most `max_bytes` to `write`, in blocks.
pub(super) fn copy(
    mut body: impl Read,
    max_bytes: u64,
    mut write: impl FnMut(&[u8]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut bytes = 0;
    loop {
        match body.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                bytes += n as u64;
                if bytes > max_bytes {
                    return Err(Problem::TooLarge { max_bytes });
                }
                write(&block[..n])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(body_problem(error)),
        }
    }
}

/// Returns the last segment of an address as a file name, or the host where it is empty.
pub(super) fn file_name(uri: &Uri) -> String {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let name: String = percent_decode_str(last)
        .decode_utf8_lossy()
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '/' | '\\') {
                '_'
            } else {
                c
            }
        })
        .collect();
    match name.as_str() {
        "" | "." | ".." => uri.host().unwrap_or("download").to_owned(),
        _ => name,
    }
}
