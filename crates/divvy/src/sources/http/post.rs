//! POST requests: notices to webhooks.

use jiff::Timestamp;

use super::{Client, Problem, parse, retry_after};

impl Client {
    /// Sends a body by POST, within the time limit of the client. Redirects are not followed: the body is for
    /// the address that was named. The answer's body is not read.
    ///
    /// # Errors
    ///
    /// The request failed, or the status is none of success. The address, which may be a secret, is not part
    /// of the message.
    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<(), Problem> {
        let mut request = self.agent.post(parse(url)?);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .config()
            .timeout_global(Some(self.max_wait))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build();
        let response = request.send(body)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Problem::Status {
            status: status.as_u16(),
            retry_after: retry_after::of(response.headers(), Timestamp::now()),
        })
    }
}
