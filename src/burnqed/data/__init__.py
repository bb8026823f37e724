"""From public sets and Lean's own library to training rows: whole files, each with a manifest that accounts for every row."""
