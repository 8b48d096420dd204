//! Where on S3 an export is to lie.

use std::fmt;
use std::str::FromStr;

/// The address of a folder on S3, such as `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Location(String);

/// The reason for which a text is not the address of a folder on S3.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no folder on S3: expected s3://BUCKET or s3://BUCKET/PREFIX, of letters, digits and - _ . /"
)]
pub struct InvalidS3Location(String);

impl S3Location {
    /// Returns the address of a folder below, without a slash at its end.
    pub fn join(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }
}

/// A bucket that is to be replaced by one's own.
impl Default for S3Location {
    fn default() -> Self {
        Self("s3://YOUR-BUCKET/divvy".into())
    }
}

impl FromStr for S3Location {
    type Err = InvalidS3Location;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text
            .strip_prefix("s3://")
            .map(|path| path.trim_end_matches('/'));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        match path {
            Some(path) if path.chars().all(is_plain) && !path.split('/').any(str::is_empty) => {
                Ok(Self(format!("s3://{path}")))
            }
            _ => Err(InvalidS3Location(text.into())),
        }
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bucket_and_no_empty_part() {
        let read = |text: &str| text.parse::<S3Location>().map(|found| found.to_string());
        assert_eq!(read("s3://my-bucket/a/b/").unwrap(), "s3://my-bucket/a/b");
        assert_eq!(read("s3://my-bucket").unwrap(), "s3://my-bucket");
        for text in [
            "s3://",
            "my-bucket/a",
            "s3://b//a",
            "s3://b/a'b",
            "s3://b/a b",
            "https://b",
        ] {
            assert_eq!(read(text), Err(InvalidS3Location(text.into())));
        }
    }
}
