//! Keys as rows: how they are written, changed and read.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use tallybook_events::ids::Scope;
use tallybook_events::time::Timestamp;

use super::unavailable;
use crate::keys::{ApiKey, Credential, Digest, Former, KeyId, KeyStoreError};

const ALL: &str = "
    SELECT id, tenant, environment, scopes, rate_per_second, imported, digest, created_at,
        revoked_at, rotated_at, former_imported, former_digest, former_until
    FROM api_keys ORDER BY number";

const INSERT: &str = "
    INSERT INTO api_keys
        (id, tenant, environment, scopes, rate_per_second, imported, digest, created_at, revoked_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const REVOKE: &str = "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";

const ROTATE: &str = "
    UPDATE api_keys SET former_imported = imported, former_digest = digest, former_until = ?5,
        imported = ?2, digest = ?3, rotated_at = ?4
    WHERE id = ?1";

const OPENED_BY: &str = "
    SELECT id FROM api_keys
    WHERE revoked_at IS NULL AND (imported = 1 AND digest = ?1
        OR former_imported = 1 AND former_digest = ?1 AND former_until > ?2)";

/// Writes a new key.
pub(super) fn insert(connection: &Connection, key: &ApiKey) -> Result<(), KeyStoreError> {
    let (imported, digest) = parts(&key.credential);
    let written = connection.execute(
        INSERT,
        params![
            key.id.as_str(),
            key.scope.tenant.as_str(),
            key.scope.environment.as_str(),
            key.scopes.to_string(),
            key.rate_per_second,
            imported,
            digest.bytes(),
            key.created_at.micros(),
            key.revoked_at.map(Timestamp::micros),
        ],
    );
    match written {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(KeyStoreError::Taken(key.id.clone()))
        }
        Err(error) => Err(unavailable(error)),
    }
}

/// Marks a key as revoked, if it is not.
pub(super) fn revoke(
    connection: &Connection,
    id: &KeyId,
    at: Timestamp,
) -> Result<(), KeyStoreError> {
    connection.execute(REVOKE, params![id.as_str(), at.micros()]).map(drop).map_err(unavailable)
}

/// Puts a credential in the place of the present one, and that in the place of the former one.
pub(super) fn rotate(
    connection: &Connection,
    id: &KeyId,
    credential: &Credential,
    at: Timestamp,
    former_until: Timestamp,
) -> Result<(), KeyStoreError> {
    let (imported, digest) = parts(credential);
    let values = params![id.as_str(), imported, digest.bytes(), at.micros(), former_until.micros()];
    connection.execute(ROTATE, values).map(drop).map_err(unavailable)
}

/// Tells whether a key is revoked; nothing when there is none.
pub(super) fn is_revoked(
    connection: &Connection,
    id: &KeyId,
) -> Result<Option<bool>, KeyStoreError> {
    let sql = "SELECT revoked_at IS NOT NULL FROM api_keys WHERE id = ?1";
    let found = connection.query_row(sql, [id.as_str()], |row| row.get(0));
    found.optional().map_err(unavailable)
}

/// Gives the key that a text with this digest opens at a moment.
pub(super) fn opened_by(
    connection: &Connection,
    digest: &Digest,
    at: Timestamp,
) -> Result<Option<KeyId>, KeyStoreError> {
    let values = params![digest.bytes(), at.micros()];
    let found = connection.query_row(OPENED_BY, values, |row| row.get::<_, String>(0));
    let found = found.optional().map_err(unavailable)?;
    found
        .map(|id| id.parse().map_err(|_| KeyStoreError::Damaged { id, what: "its id" }))
        .transpose()
}

/// Reads all keys, in the order in which they were made.
pub(super) fn read_all(connection: &Connection) -> Result<Vec<Arc<ApiKey>>, KeyStoreError> {
    let mut statement = connection.prepare_cached(ALL).map_err(unavailable)?;
    let mut rows = statement.query([]).map_err(unavailable)?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next().map_err(unavailable)? {
        keys.push(Arc::new(read_key(row)?));
    }
    Ok(keys)
}

fn read_key(row: &Row<'_>) -> Result<ApiKey, KeyStoreError> {
    let id: String = row.get(0).map_err(unavailable)?;
    let text = |column: usize| row.get::<_, String>(column).map_err(unavailable);
    let moment = |column: usize| -> Result<Option<Timestamp>, KeyStoreError> {
        let micros: Option<i64> = row.get(column).map_err(unavailable)?;
        Ok(micros.map(Timestamp::from_micros))
    };
    let damaged = |what: &'static str| KeyStoreError::Damaged { id: id.clone(), what };
    let credential = |column: usize| -> rusqlite::Result<Credential> {
        let digest = Digest::from_bytes(row.get(column + 1)?);
        Ok(if row.get(column)? { Credential::Imported(digest) } else { Credential::Issued(digest) })
    };
    let former = |until| {
        let credential = credential(10).map_err(|_| damaged("what opened it before"))?;
        Ok(Former { credential, until })
    };
    Ok(ApiKey {
        id: id.parse().map_err(|_| damaged("its id"))?,
        scope: Scope {
            tenant: text(1)?.parse().map_err(|_| damaged("its tenant"))?,
            environment: text(2)?.parse().map_err(|_| damaged("its environment"))?,
        },
        scopes: text(3)?.parse().map_err(|_| damaged("its scopes"))?,
        rate_per_second: row.get(4).map_err(|_| damaged("its rate"))?,
        credential: credential(5).map_err(|_| damaged("what opens it"))?,
        created_at: moment(7)?.ok_or_else(|| damaged("when it was made"))?,
        revoked_at: moment(8)?,
        rotated_at: moment(9)?,
        former: moment(12)?.map(former).transpose()?,
    })
}

/// Gives a credential as its columns.
fn parts(credential: &Credential) -> (bool, &Digest) {
    match credential {
        Credential::Issued(digest) => (false, digest),
        Credential::Imported(digest) => (true, digest),
    }
}
