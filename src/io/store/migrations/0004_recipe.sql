-- Never edit this file: stores out there carry its checksum. Add a new one.

-- How the machine is made, as its entry had it last, sealed, in hexadecimal: it is taken down by that once the entry is
-- gone.
ALTER TABLE infrastructure ADD COLUMN recipe TEXT;
-- The backend of OpenTofu's own that has the state; NULL: `sealed` has it.
ALTER TABLE infrastructure ADD COLUMN backend TEXT;
