//! Tables that are missing and may not be created.

use divvy::store::{StoreError, StoreErrorKind};

use crate::connect::Connection;

/// Tables that are missing on a service that is not on this machine, where they are created only on request. The
/// source of a [`StoreError`] with the same message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} missing in {region}{}", are(tables), in_account(account.as_deref()))]
pub struct MissingTables {
    /// The region, and the address of the service where it is not the region's own.
    pub region: String,
    /// The number of the account. `None` where the credentials do not contain it.
    pub account: Option<String>,
    /// The names of the tables.
    pub tables: Vec<String>,
}

impl MissingTables {
    pub(super) async fn of(connection: &Connection, tables: Vec<String>) -> Self {
        let region = match &connection.endpoint {
            None => connection.region.clone(),
            Some(endpoint) => format!("{} ({endpoint})", connection.region),
        };
        Self {
            region,
            account: connection.account().await,
            tables,
        }
    }
}

fn are(tables: &[String]) -> String {
    let are = if tables.len() == 1 { "is" } else { "are" };
    format!("{} {are}", tables.join(", "))
}

fn in_account(account: Option<&str>) -> String {
    account.map_or_else(String::new, |account| format!(", account {account}"))
}

impl From<MissingTables> for StoreError {
    fn from(missing: MissingTables) -> Self {
        Self {
            kind: StoreErrorKind::Unreachable,
            message: missing.to_string(),
            source: Some(Box::new(missing)),
        }
    }
}
