-- Never edit this file: stores out there carry its checksum. Add a new one.

-- Random digits at the end of the name of OpenTofu's working directory. Nobody can place files there beforehand.
ALTER TABLE infrastructure ADD COLUMN directory TEXT;
-- The private host key that a saved plan makes a machine with, sealed, in hexadecimal; `host_key` gets it before that.
ALTER TABLE infrastructure ADD COLUMN planned_key TEXT;
