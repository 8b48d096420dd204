//! Point-in-time recovery: whether it is enabled, which the emulator does not keep. Nothing is backed up, and the
//! setting lives as long as the process.

use serde::Deserialize;
use serde_json::json;

use super::Request;
use crate::wire::{RequestError, write};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeContinuousBackups {
    table_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateContinuousBackups {
    table_name: String,
    point_in_time_recovery_specification: RecoverySpecification,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecoverySpecification {
    point_in_time_recovery_enabled: bool,
}

impl Request<'_> {
    pub(super) fn update_continuous_backups(
        &mut self,
        request: &UpdateContinuousBackups,
    ) -> Result<Vec<u8>, RequestError> {
        let name = &request.table_name;
        self.expect_table(name)?;
        let specification = &request.point_in_time_recovery_specification;
        if specification.point_in_time_recovery_enabled {
            self.state.recoverable.insert(name.clone());
        } else {
            self.state.recoverable.remove(name);
        }
        self.continuous_backups(name)
    }

    pub(super) fn describe_continuous_backups(
        &mut self,
        request: &DescribeContinuousBackups,
    ) -> Result<Vec<u8>, RequestError> {
        self.expect_table(&request.table_name)?;
        self.continuous_backups(&request.table_name)
    }

    /// Refuses the name of a table that does not exist.
    fn expect_table(&self, name: &str) -> Result<(), RequestError> {
        self.describe(name)?;
        Ok(())
    }

    fn continuous_backups(&self, name: &str) -> Result<Vec<u8>, RequestError> {
        let status = if self.state.recoverable.contains(name) {
            "ENABLED"
        } else {
            "DISABLED"
        };
        write(&json!({"ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": status},
        }}))
    }
}
