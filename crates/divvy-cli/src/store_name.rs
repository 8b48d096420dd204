//! Names of stores: a folder, tables of DynamoDB, or the file of an emulator.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use divvy_aws::connect::is_this_machine;

/// The folder of a store that is not named.
pub const FOLDER: &str = "divvy-data";

/// A store as named by `--store`.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreName {
    /// A folder: Parquet and SQLite.
    Folder(PathBuf),
    /// Tables of DynamoDB.
    Dynamo {
        /// The beginning of the tables' names; may be empty.
        prefix: String,
        /// The region. `None` for that of environment or profile.
        region: Option<String>,
        /// The address of the service. `None` for the region's own.
        endpoint: Option<String>,
    },
    /// The same tables in an emulator in this process.
    DynamoLocal {
        /// The file of the emulator.
        file: PathBuf,
        /// Write and read units of each table and of the index. `None` for tables on demand.
        capacity: Option<(u32, u32)>,
        /// Whether waits for capacity advance a virtual clock and take no time.
        virtual_clock: bool,
    },
}

impl StoreName {
    /// Parses `--store` or `DIVVY_STORE`. A path that is not Unicode is that of a folder.
    pub fn parse(text: OsString) -> Result<Self, String> {
        match text.to_str() {
            Some(text) => Self::parse_text(text),
            None => Ok(Self::Folder(text.into())),
        }
    }

    fn parse_text(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(format!("it is empty: name a folder, such as {FOLDER}"));
        }
        let (name, query) = text.split_once('?').unwrap_or((text, ""));
        let query = Query::parse(query);
        if let Some(prefix) = name.strip_prefix("dynamodb://") {
            return Self::parse_dynamo(prefix, &query);
        }
        if let Some(file) = name.strip_prefix("dynamodb-local:") {
            return Self::parse_dynamo_local(file, &query);
        }
        if name.starts_with("dynamodb:") {
            return Err("expected dynamodb://PREFIX?region=us-east-2".into());
        }
        if let Some(scheme) = scheme(text) {
            return Err(format!(
                "there are no stores of the kind {scheme}: expected a folder, \
                 dynamodb://PREFIX?region=us-east-2 or dynamodb-local:FILE (a folder of that name \
                 is ./{text})"
            ));
        }
        Ok(Self::Folder(text.into()))
    }

    fn parse_dynamo(prefix: &str, query: &Query<'_>) -> Result<Self, String> {
        query.expect_names(&["region", "endpoint"])?;
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !prefix.chars().all(is_of_name) {
            return Err(format!(
                "{prefix:?} cannot begin the names of tables: letters, digits, _ . - only"
            ));
        }
        let endpoint = query.value("endpoint");
        let has_host = |endpoint: &str| {
            let mut schemes = ["http://", "https://"].into_iter();
            let host = schemes.find_map(|scheme| endpoint.strip_prefix(scheme));
            host.is_some_and(|host| !host.is_empty())
        };
        if let Some(endpoint) = endpoint.filter(|endpoint| !has_host(endpoint)) {
            return Err(format!(
                "endpoint={endpoint}: expected http:// or https:// and a host, such as \
                 http://localhost:8000"
            ));
        }
        Ok(Self::Dynamo {
            prefix: prefix.into(),
            region: query.value("region").map(Into::into),
            endpoint: endpoint.map(Into::into),
        })
    }

    fn parse_dynamo_local(file: &str, query: &Query<'_>) -> Result<Self, String> {
        query.expect_names(&["wcu", "rcu", "clock"])?;
        if file.is_empty() {
            return Err("name the file of the emulator: dynamodb-local:demo.db".into());
        }
        let (wcu, rcu) = (query.units("wcu")?, query.units("rcu")?);
        let virtual_clock = match query.value("clock") {
            None | Some("real") => false,
            Some("virtual") => true,
            Some(other) => return Err(format!("clock={other}: expected real or virtual")),
        };
        Ok(Self::DynamoLocal {
            file: file.into(),
            capacity: wcu.or(rcu).zip(rcu.or(wcu)),
            virtual_clock,
        })
    }

    /// Returns whether requests and storage may cost money: on DynamoDB, unless its endpoint is on this
    /// machine. Endpoints in a VPC, of FIPS and of IPv6 are of AWS as well.
    pub fn costs(&self) -> bool {
        match self {
            Self::Folder(_) | Self::DynamoLocal { .. } => false,
            Self::Dynamo { endpoint, .. } => {
                (endpoint.as_deref()).is_none_or(|endpoint| !is_this_machine(endpoint))
            }
        }
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Dynamo { prefix, .. } => write!(f, "dynamodb://{prefix}"),
            Self::DynamoLocal { file, .. } => write!(f, "dynamodb-local:{}", file.display()),
        }
    }
}

/// The part after the question mark: `name=value`, separated by `&`.
struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.collect())
    }

    fn expect_names(&self, names: &[&str]) -> Result<(), String> {
        match self.0.iter().find(|(name, _)| !names.contains(name)) {
            None => Ok(()),
            Some((unknown, _)) => Err(format!(
                "what is {unknown:?}? After the question mark may stand {}",
                names.join(", ")
            )),
        }
    }

    /// Returns a value. `None` where it is missing or empty.
    fn value(&self, name: &str) -> Option<&'a str> {
        let pairs = self.0.iter();
        let mut values = pairs.filter(|pair| pair.0 == name).map(|pair| pair.1);
        values.find(|value| !value.is_empty())
    }

    /// Returns a value as capacity units.
    fn units(&self, name: &str) -> Result<Option<u32>, String> {
        match self.value(name).map(str::parse) {
            Some(Ok(0) | Err(_)) => Err(format!("{name}: expected units a second, from 1 on")),
            Some(Ok(units)) => Ok(Some(units)),
            None => Ok(None),
        }
    }
}

/// Returns the text before the first colon if it has the form of a scheme of an address (RFC 3986,
/// section 3.1). `None` for a path, also for one with a drive letter.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    let is_drive = cfg!(windows) && scheme.len() == 1;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_of_scheme)
        && !is_drive;
    is_scheme.then_some(scheme)
}
