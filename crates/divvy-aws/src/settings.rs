//! What a Lambda is told by its environment, and the store that it means.

use divvy::model::{System, SystemId};
use divvy::store::{StoreError, StoreErrorKind};

use crate::store::{DynamoStore, OpenOptions};

/// The environment of a Lambda.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `DIVVY_TABLE_PREFIX`: what the names of the tables begin with; empty for the bare names.
    pub prefix: String,
    /// `DIVVY_SYSTEM`: whose stations these are. `None` leaves it to feed and store.
    pub system: Option<System>,
    /// `DIVVY_FEED_URL`: the feed to poll. `None` for a Lambda that polls none.
    pub feed: Option<String>,
    /// `AWS_LAMBDA_FUNCTION_NAME`: under which its metrics are found.
    pub function: String,
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
        let said = |name| variable(name).filter(|value| !value.is_empty());
        let system = said("DIVVY_SYSTEM").map(|text| System::parse(&text));
        let system = system.transpose().map_err(|error| {
            StoreError::because(StoreErrorKind::Unreachable, "DIVVY_SYSTEM", error)
        })?;
        Ok(Self {
            prefix: said("DIVVY_TABLE_PREFIX").unwrap_or_default(),
            system,
            feed: said("DIVVY_FEED_URL"),
            function: said("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
        })
    }

    /// Opens the store. A Lambda makes no tables.
    ///
    /// # Errors
    ///
    /// Those of [`DynamoStore::open_existing`], and that the tables are not there.
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

    /// Finds the system that the tables belong to.
    ///
    /// # Errors
    ///
    /// Nothing has been stored yet, or it is another one than the environment says.
    pub async fn system_of(&self, store: &DynamoStore) -> Result<SystemId, StoreError> {
        let refused = |message| Err(StoreError::new(StoreErrorKind::Unreachable, message));
        let Some(stored) = store.system().await? else {
            return refused("the tables belong to no system yet: load or poll first".into());
        };
        match &self.system {
            Some(said) if said.id != stored.id => refused(format!(
                "the tables belong to {}, and DIVVY_SYSTEM says {}",
                stored.id, said.id
            )),
            _ => Ok(stored.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_which_tables_and_which_feed() {
        let settings = Settings::of(|name| match name {
            "DIVVY_TABLE_PREFIX" => Some("prod".into()),
            "DIVVY_SYSTEM" => Some("divvy".into()),
            "DIVVY_FEED_URL" => Some(String::new()),
            _ => None,
        });
        let expected = Settings {
            prefix: "prod".into(),
            system: System::named("divvy"),
            ..Settings::default()
        };
        assert_eq!(settings.unwrap(), expected);
        let unknown = Settings::of(|name| (name == "DIVVY_SYSTEM").then(|| "nowhere".into()));
        assert!(unknown.unwrap_err().message.starts_with("DIVVY_SYSTEM: "));
    }
}
