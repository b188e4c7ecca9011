"""The one reader of what runs leave behind: runs, their evaluations, groups of runs, and directories of them."""
