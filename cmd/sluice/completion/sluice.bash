complete -o default -o bashdefault -C sluice sluice
