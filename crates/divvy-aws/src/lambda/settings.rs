//! The settings of a Lambda from its environment variables, and the store of these settings.

use divvy::model::{System, SystemId};
use divvy::store::{StoreError, StoreErrorKind};

use super::metrics::Dimensions;
use crate::store::{DynamoStore, OpenOptions};

/// The settings of a Lambda.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `DIVVY_TABLE_PREFIX`: the prefix of the names of the tables; may be empty.
    pub prefix: String,
    /// `DIVVY_SYSTEM`: the system of the stations. `None`: that of feed and store.
    pub system: Option<System>,
    /// `DIVVY_FEED_URL`: the feed to poll. `None` for a Lambda that does not poll.
    pub feed: Option<String>,
    /// What its metrics are of: `DIVVY_SYSTEM`, `DIVVY_TABLE_PREFIX` and `AWS_LAMBDA_FUNCTION_NAME`.
    pub dimensions: Dimensions,
}

impl Settings {
    /// Reads the variables of the process.
    ///
    /// # Errors
    ///
    /// `DIVVY_SYSTEM` names no system.
    pub fn of_process() -> Result<Self, StoreError> {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let value = |name| variable(name).filter(|value| !value.is_empty());
        let text = |name| value(name).unwrap_or_default();
        let system = value("DIVVY_SYSTEM").map(|text| System::parse(&text));
        let system = system.transpose().map_err(|error| {
            StoreError::with_source(StoreErrorKind::Unreachable, "DIVVY_SYSTEM", error)
        })?;
        Ok(Self {
            prefix: text("DIVVY_TABLE_PREFIX"),
            system,
            feed: value("DIVVY_FEED_URL"),
            dimensions: Dimensions {
                system: text("DIVVY_SYSTEM"),
                prefix: text("DIVVY_TABLE_PREFIX"),
                function: text("AWS_LAMBDA_FUNCTION_NAME"),
            },
        })
    }

    /// Opens the store. A Lambda creates no tables.
    ///
    /// # Errors
    ///
    /// Those of [`DynamoStore::open_existing`]; there are no tables.
    pub async fn open(&self) -> Result<DynamoStore, StoreError> {
        let options = OpenOptions {
            prefix: self.prefix.clone(),
            ..OpenOptions::default()
        };
        DynamoStore::open_existing(options).await?.ok_or_else(|| {
            let tables = match self.prefix.as_str() {
                "" => "without a prefix".to_owned(),
                prefix => format!("of the prefix {prefix}"),
            };
            let message = format!("there are no tables {tables}: deploy the stack first");
            StoreError::new(StoreErrorKind::Unreachable, message)
        })
    }

    /// Returns the system that the tables belong to.
    ///
    /// # Errors
    ///
    /// Nothing is stored yet; the system is not the one of the settings.
    pub async fn system_of(&self, store: &DynamoStore) -> Result<SystemId, StoreError> {
        let refused = |message| Err(StoreError::new(StoreErrorKind::Unreachable, message));
        let Some(stored) = store.system().await? else {
            return refused("the tables belong to no system yet: load or poll first".into());
        };
        match &self.system {
            Some(expected) if expected.id != stored.id => refused(format!(
                "the tables belong to {}, and DIVVY_SYSTEM says {}",
                stored.id, expected.id
            )),
            _ => Ok(stored.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_from_environment_variables() {
        let settings = Settings::of(|name| match name {
            "DIVVY_TABLE_PREFIX" => Some("prod".into()),
            "DIVVY_SYSTEM" => Some("divvy".into()),
            "DIVVY_FEED_URL" => Some(String::new()),
            _ => None,
        });
        let expected = Settings {
            prefix: "prod".into(),
            system: System::named("divvy"),
            dimensions: Dimensions {
                system: "divvy".into(),
                prefix: "prod".into(),
                ..Dimensions::default()
            },
            ..Settings::default()
        };
        assert_eq!(settings.unwrap(), expected);
        let unknown = Settings::of(|name| (name == "DIVVY_SYSTEM").then(|| "nowhere".into()));
        assert!(unknown.unwrap_err().message.starts_with("DIVVY_SYSTEM: "));
    }
}
