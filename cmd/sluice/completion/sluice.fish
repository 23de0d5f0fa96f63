function __sluice_complete
    set -lx COMP_LINE (commandline --current-process --cut-at-cursor)
    set -l found (sluice)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline --current-token)
    end
end
complete --no-files --command sluice --arguments '(__sluice_complete)'
