CREATE EXTERNAL TABLE IF NOT EXISTS `divvy`.`from_station_counts` (
  `from_station_id` string COMMENT 'the id as the trips use it',
  `from_count` bigint COMMENT 'stored trips that start there',
  `trips_version` bigint COMMENT 'version of the trips of the station that was counted',
  `refreshed_at` timestamp COMMENT 'when it was counted, UTC'
)
COMMENT 'Departures by station id, as the change stream counted them last'
PARTITIONED BY (
  `system` string COMMENT 'the id of the system'
)
STORED AS PARQUET
LOCATION 's3://my-bucket/divvy/from_station_counts/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.system.type' = 'enum',
  'projection.system.values' = 'divvy',
  'storage.location.template' = 's3://my-bucket/divvy/from_station_counts/system=${system}'
)
