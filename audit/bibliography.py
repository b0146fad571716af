"""Where each method comes from: the `method` of a measurement → the full citation a report prints."""

from __future__ import annotations

__all__ = ["BIBLIOGRAPHY"]

BIBLIOGRAPHY: dict[str, str] = {
    "abadi2016": "M. Abadi, A. Chu, I. Goodfellow, H. B. McMahan, I. Mironov, K. Talwar, L. Zhang. Deep "
    "learning with differential privacy. ACM CCS 2016. arXiv:1607.00133",
    "abnar2020": "S. Abnar, W. Zuidema. Quantifying attention flow in transformers. ACL 2020. "
    "arXiv:2005.00928",
    "adebayo2018": "J. Adebayo, J. Gilmer, M. Muelly, I. Goodfellow, M. Hardt, B. Kim. Sanity checks for "
    "saliency maps. NeurIPS 2018. arXiv:1810.03292",
    "arras2022": "L. Arras, A. Osman, W. Samek. CLEVR-XAI: a benchmark dataset for the ground truth "
    "evaluation of neural network explanations. Information Fusion 81 (2022) 14–40. arXiv:2003.07258",
    "arya2019": "V. Arya et al. One explanation does not fit all: a toolkit and taxonomy of AI "
    "explainability techniques. 2019. arXiv:1909.03012",
    "athalye2018": "A. Athalye, N. Carlini, D. Wagner. Obfuscated gradients give a false sense of security: "
    "circumventing defenses to adversarial examples. ICML 2018. arXiv:1802.00420",
    "bach2015": "S. Bach, A. Binder, G. Montavon, F. Klauschen, K.-R. Müller, W. Samek. On pixel-wise "
    "explanations for non-linear classifier decisions by layer-wise relevance propagation. PLoS ONE 10 "
    "(2015) e0130140. doi:10.1371/journal.pone.0130140",
    "barocas2023": "S. Barocas, M. Hardt, A. Narayanan. Fairness and machine learning: limitations and "
    "opportunities. MIT Press 2023. https://fairmlbook.org",
    "belinkov2018": "Y. Belinkov, Y. Bisk. Synthetic and natural noise both break neural machine "
    "translation. ICLR 2018. arXiv:1711.02173",
    "benjamini1995": "Y. Benjamini, Y. Hochberg. Controlling the false discovery rate: a practical and "
    "powerful approach to multiple testing. Journal of the Royal Statistical Society B 57 (1995) 289–300. "
    "doi:10.1111/j.2517-6161.1995.tb02031.x",
    "benjamini2005": "Y. Benjamini, D. Yekutieli. False discovery rate-adjusted multiple confidence "
    "intervals for selected parameters. Journal of the American Statistical Association 100 (2005) 71–81. "
    "doi:10.1198/016214504000001907",
    "bertran2023": "M. Bertran, S. Tang, M. Kearns, J. Morgenstern, A. Roth, Z. S. Wu. Scalable membership "
    "inference attacks via quantile regression. NeurIPS 2023. arXiv:2307.03694",
    "bhatt2020": "U. Bhatt, A. Weller, J. M. F. Moura. Evaluating and aggregating feature-based model "
    "explanations. IJCAI 2020. arXiv:2005.00631",
    "bonett2012": "D. G. Bonett, R. M. Price. Adjusted Wald confidence interval for a difference of "
    "binomial proportions based on paired data. Journal of Educational and Behavioral "
    "Statistics 37 (2012) 479–488. doi:10.3102/1076998611411915",
    "brannvall2026": "R. Brännvall. Exponential-family membership inference: from LiRA and RMIA to "
    "BaVarIA. 2026. arXiv:2603.11799",
    "brier1950": "G. W. Brier. Verification of forecasts expressed in terms of probability. Monthly "
    "Weather Review 78 (1950) 1–3. doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    "brocker2007": "J. Bröcker, L. A. Smith. Increasing the reliability of reliability diagrams. Weather "
    "and Forecasting 22 (2007) 651–661. doi:10.1175/WAF993.1",
    "carlini2016": "N. Carlini, D. Wagner. Defensive distillation is not robust to adversarial examples. "
    "2016. arXiv:1607.04311",
    "carlini2019": "N. Carlini, A. Athalye, N. Papernot, W. Brendel, J. Rauber, D. Tsipras, I. Goodfellow, "
    "A. Madry, A. Kurakin. On evaluating adversarial robustness. 2019. arXiv:1902.06705",
    "carlini2022": "N. Carlini, S. Chien, M. Nasr, S. Song, A. Terzis, F. Tramèr. Membership inference "
    "attacks from first principles. IEEE S&P 2022. arXiv:2112.03570",
    "carlini2022onion": "N. Carlini, M. Jagielski, C. Zhang, N. Papernot, A. Terzis, F. Tramèr. The privacy "
    "onion effect: memorization is relative. NeurIPS 2022. arXiv:2206.10469",
    "chalasani2020": "P. Chalasani, J. Chen, A. R. Chowdhury, S. Jha, X. Wu. Concise explanations of neural "
    "networks using adversarial training. ICML 2020. arXiv:1810.06583",
    "chefer2021": "H. Chefer, S. Gur, L. Wolf. Generic attention-model explainability for interpreting "
    "bi-modal and encoder-decoder transformers. ICCV 2021. arXiv:2103.15679",
    "chen2020": "J. Chen, M. I. Jordan, M. J. Wainwright. HopSkipJumpAttack: a query-efficient "
    "decision-based attack. IEEE S&P 2020. arXiv:1904.02144",
    "choquette2021": "C. A. Choquette-Choo, F. Tramèr, N. Carlini, N. Papernot. Label-only membership "
    "inference attacks. ICML 2021. arXiv:2007.14321",
    "chouldechova2017": "A. Chouldechova. Fair prediction with disparate impact: a study of bias in "
    "recidivism prediction instruments. Big Data 5 (2017) 153–163. arXiv:1610.07524",
    "clopper1934": "C. J. Clopper, E. S. Pearson. The use of confidence or fiducial limits illustrated "
    "in the case of the binomial. Biometrika 26 (1934) 404–413. "
    "doi:10.1093/biomet/26.4.404",
    "cohen2019": "J. Cohen, E. Rosenfeld, Z. Kolter. Certified adversarial robustness via randomized "
    "smoothing. ICML 2019. arXiv:1902.02918",
    "croce2020": "F. Croce, M. Hein. Reliable evaluation of adversarial robustness with an ensemble of "
    "diverse parameter-free attacks. ICML 2020. arXiv:2003.01690",
    "croce2022": "F. Croce, S. Gowal, T. Brunner, E. Shelhamer, M. Hein, T. Cemgil. Evaluating the "
    "adversarial robustness of adaptive test-time defenses. ICML 2022. arXiv:2202.13711",
    "delong1988": "E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson. Comparing the areas under two or "
    "more correlated receiver operating characteristic curves. Biometrics 44 (1988) "
    "837–845. doi:10.2307/2531595",
    "deyoung2020": "J. DeYoung et al. ERASER: a benchmark to evaluate rationalized NLP models. ACL 2020. "
    "arXiv:1911.03429",
    "durkalski2003": "V. L. Durkalski, Y. Y. Palesch, S. R. Lipsitz, P. F. Rust. Analysis of clustered "
    "matched-pair data. Statistics in Medicine 22 (2003) 2417–2428. doi:10.1002/sim.1438",
    "dombrowski2019": "A.-K. Dombrowski, M. Alber, C. J. Anders, M. Ackermann, K.-R. Müller, P. Kessel. "
    "Explanations can be manipulated and geometry is to blame. NeurIPS 2019. arXiv:1906.07983",
    "dwass1957": "M. Dwass. Modified randomization tests for nonparametric hypotheses. Annals of "
    "Mathematical Statistics 28 (1957) 181–187. doi:10.1214/aoms/1177707045",
    "dwork2006": "C. Dwork, K. Kenthapadi, F. McSherry, I. Mironov, M. Naor. Our data, ourselves: privacy "
    "via distributed noise generation. EUROCRYPT 2006. doi:10.1007/11761679_29",
    "efron1987": "B. Efron. Better bootstrap confidence intervals. Journal of the American Statistical "
    "Association 82 (1987) 171–185. doi:10.1080/01621459.1987.10478410",
    "erion2021": "G. Erion, J. D. Janizek, P. Sturmfels, S. M. Lundberg, S.-I. Lee. Improving performance "
    "of deep learning models with axiomatic attribution priors and expected gradients. Nature Machine "
    "Intelligence 3 (2021). arXiv:1906.10670",
    "fisher1922": "R. A. Fisher. On the interpretation of χ² from contingency tables, and the calculation "
    "of P. Journal of the Royal Statistical Society 85 (1922) 87–94. doi:10.2307/2340521",
    "fleiss2003": "J. L. Fleiss, B. Levin, M. C. Paik. Statistical methods for rates and proportions. Third "
    "edition. Wiley 2003. doi:10.1002/0471445428",
    "fredrikson2015": "M. Fredrikson, S. Jha, T. Ristenpart. Model inversion attacks that exploit confidence "
    "information and basic countermeasures. ACM CCS 2015. doi:10.1145/2810103.2813677",
    "galhotra2017": "S. Galhotra, Y. Brun, A. Meliou. Fairness testing: testing software for discrimination. "
    "ESEC/FSE 2017. doi:10.1145/3106237.3106277",
    "garg2019": "S. Garg, V. Perot, N. Limtiaco, A. Taly, E. H. Chi, A. Beutel. Counterfactual fairness in "
    "text classification through robustness. AIES 2019. arXiv:1809.10610",
    "ghorbani2019": "A. Ghorbani, A. Abid, J. Zou. Interpretation of neural networks is fragile. AAAI 2019. "
    "arXiv:1710.10547",
    "gopi2021": "S. Gopi, Y. T. Lee, L. Wutschitz. Numerical composition of differential privacy. NeurIPS "
    "2021. arXiv:2106.02848",
    "gowal2018": "S. Gowal, K. Dvijotham, R. Stanforth, R. Bunel, C. Qin, J. Uesato, R. Arandjelovic, "
    "T. Mann, P. Kohli. On the effectiveness of interval bound propagation for training verifiably robust "
    "models. 2018. arXiv:1810.12715",
    "guo2017": "C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On calibration of modern neural "
    "networks. ICML 2017. arXiv:1706.04599",
    "hendrycks2019": "D. Hendrycks, T. Dietterich. Benchmarking neural network robustness to common "
    "corruptions and perturbations. ICLR 2019. arXiv:1903.12261",
    "holm1979": "S. Holm. A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics 6 (1979) 65–70. https://www.jstor.org/stable/4615733",
    "jayaraman2022": "B. Jayaraman, D. Evans. Are attribute inference attacks just imputation? ACM CCS 2022. "
    "arXiv:2209.01292",
    "jiang2021": "P.-T. Jiang, C.-B. Zhang, Q. Hou, M.-M. Cheng, Y. Wei. LayerCAM: exploring hierarchical "
    "class activation maps for localization. IEEE Transactions on Image Processing 30 (2021). "
    "doi:10.1109/TIP.2021.3089943",
    "kiritchenko2018": "S. Kiritchenko, S. M. Mohammad. Examining gender and race bias in two hundred "
    "sentiment analysis systems. *SEM 2018. arXiv:1805.04508",
    "kleinberg2017": "J. Kleinberg, S. Mullainathan, M. Raghavan. Inherent trade-offs in the fair "
    "determination of risk scores. ITCS 2017. arXiv:1609.05807",
    "koopman1984": "P. A. R. Koopman. Confidence intervals for the ratio of two binomial proportions. "
    "Biometrics 40 (1984) 513–517. doi:10.2307/2531405",
    "koskela2020": "A. Koskela, J. Jälkö, A. Honkela. Computing tight differential privacy guarantees using "
    "FFT. AISTATS 2020. arXiv:1906.03049",
    "lassila2025": "M. Lassila, J. Östman, K.-H. Ngo, A. Graell i Amat. Practical Bayes-optimal membership "
    "inference attacks. NeurIPS 2025. arXiv:2505.24089",
    "lundberg2017": "S. M. Lundberg, S.-I. Lee. A unified approach to interpreting model predictions. "
    "NeurIPS 2017. arXiv:1705.07874",
    "madry2018": "A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu. Towards deep learning models "
    "resistant to adversarial attacks. ICLR 2018. arXiv:1706.06083",
    "mahloujifar2025": "S. Mahloujifar, L. Melis, K. Chaudhuri. Auditing f-differential privacy in one run. "
    "ICML 2025. arXiv:2410.22235",
    "mcnemar1947": "Q. McNemar. Note on the sampling error of the difference between correlated proportions "
    "or percentages. Psychometrika 12 (1947) 153–157. doi:10.1007/BF02295996",
    "newcombe1998": "R. G. Newcombe. Interval estimation for the difference between independent "
    "proportions: comparison of eleven methods. Statistics in Medicine 17 (1998) 873–890. "
    "doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I",
    "petsiuk2018": "V. Petsiuk, A. Das, K. Saenko. RISE: randomized input sampling for explanation of "
    "black-box models. BMVC 2018. arXiv:1806.07421",
    "pintor2022": "M. Pintor, L. Demetrio, A. Sotgiu, G. Manca, A. Demontis, N. Carlini, B. Biggio, F. "
    "Roli. Indicators of attack failure: debugging and improving optimization of adversarial "
    "examples. NeurIPS 2022. arXiv:2106.09947",
    "raji2020": "I. D. Raji, A. Smart, R. N. White, M. Mitchell, T. Gebru, B. Hutchinson, J. Smith-Loud, "
    "D. Theron, P. Barnes. Closing the AI accountability gap: defining an end-to-end framework for internal "
    "algorithmic auditing. FAT* 2020. arXiv:2001.00973",
    "rcny2023": "New York City Department of Consumer and Worker Protection. Use of automated employment "
    "decision-making tools. 6 RCNY 5-300 to 5-304 (2023). "
    "https://codelibrary.amlegal.com/codes/newyorkcity/latest/NYCrules/0-0-0-138530",
    "rottger2021": "P. Röttger, B. Vidgen, D. Nguyen, Z. Waseem, H. Margetts, J. B. Pierrehumbert. "
    "HateCheck: functional tests for hate speech detection models. ACL 2021. arXiv:2012.15606",
    "salem2019": "A. Salem, Y. Zhang, M. Humbert, P. Berrang, M. Fritz, M. Backes. ML-Leaks: model and data "
    "independent membership inference attacks and defenses on machine learning models. NDSS 2019. "
    "arXiv:1806.01246",
    "samek2017": "W. Samek, A. Binder, G. Montavon, S. Lapuschkin, K.-R. Müller. Evaluating the "
    "visualization of what a deep neural network has learned. IEEE Transactions on Neural Networks and "
    "Learning Systems 28 (2017) 2660–2673. arXiv:1509.06321",
    "secretsharer2019": "N. Carlini, C. Liu, Ú. Erlingsson, J. Kos, D. Song. The secret sharer: evaluating "
    "and testing unintended memorization in neural networks. USENIX Security 2019. arXiv:1802.08232",
    "selvaraju2017": "R. R. Selvaraju, M. Cogswell, A. Das, R. Vedantam, D. Parikh, D. Batra. Grad-CAM: "
    "visual explanations from deep networks via gradient-based localization. ICCV 2017. arXiv:1610.02391",
    "shapley1953": "L. S. Shapley. A value for n-person games. Contributions to the Theory of Games II "
    "(1953) 307–317. doi:10.1515/9781400881970-018",
    "shrikumar2016": "A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje. Not just a black box: learning "
    "important features through propagating activation differences. 2016. arXiv:1605.01713",
    "simonyan2014": "K. Simonyan, A. Vedaldi, A. Zisserman. Deep inside convolutional networks: visualising "
    "image classification models and saliency maps. ICLR 2014 workshop. arXiv:1312.6034",
    "smilkov2017": "D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg. SmoothGrad: removing noise by "
    "adding noise. 2017. arXiv:1706.03825",
    "song2021": "L. Song, P. Mittal. Systematic evaluation of privacy risks of machine learning models. "
    "USENIX Security 2021. arXiv:2003.10595",
    "speicher2018": "T. Speicher, H. Heidari, N. Grgic-Hlaca, K. P. Gummadi, A. Singla, A. Weller, "
    "M. B. Zafar. A unified approach to quantifying algorithmic unfairness: measuring individual and group "
    "unfairness via inequality indices. KDD 2018. arXiv:1807.00787",
    "springenberg2015": "J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller. Striving for "
    "simplicity: the all convolutional net. ICLR 2015 workshop. arXiv:1412.6806",
    "steinke2023": "T. Steinke, M. Nasr, M. Jagielski. Privacy auditing with one (1) training run. NeurIPS "
    "2023. arXiv:2305.08846",
    "sundararajan2017": "M. Sundararajan, A. Taly, Q. Yan. Axiomatic attribution for deep networks. ICML "
    "2017. arXiv:1703.01365",
    "thompson1936": "W. R. Thompson. On confidence ranges for the median and other expectation "
    "distributions for populations of unknown distribution form. Annals of Mathematical Statistics 7 "
    "(1936) 122–128. doi:10.1214/aoms/1177732502",
    "ugesp1978": "Uniform Guidelines on Employee Selection Procedures (1978). 29 CFR 1607.4(D). "
    "https://www.ecfr.gov/current/title-29/subtitle-B/chapter-XIV/part-1607/section-1607.4",
    "welch1947": "B. L. Welch. The generalization of ‘Student’s’ problem when several different population "
    "variances are involved. Biometrika 34 (1947) 28–35. doi:10.1093/biomet/34.1-2.28",
    "wilson1927": "E. B. Wilson. Probable inference, the law of succession, and statistical inference. "
    "Journal of the American Statistical Association 22 (1927) 209–212. "
    "doi:10.1080/01621459.1927.10502953",
    "yeh2019": "C.-K. Yeh, C.-Y. Hsieh, A. S. Suggala, D. I. Inouye, P. Ravikumar. On the (in)fidelity and "
    "sensitivity of explanations. NeurIPS 2019. arXiv:1901.09392",
    "yeom2018": "S. Yeom, I. Giacomelli, M. Fredrikson, S. Jha. Privacy risk in machine learning: analyzing "
    "the connection to overfitting. IEEE CSF 2018. arXiv:1709.01604",
    "zarifzadeh2024": "S. Zarifzadeh, P. Liu, R. Shokri. Low-cost high-power membership inference attacks. "
    "ICML 2024. arXiv:2312.03562",
    "zeiler2014": "M. D. Zeiler, R. Fergus. Visualizing and understanding convolutional networks. ECCV "
    "2014. arXiv:1311.2901",
    "zhang2018": "J. Zhang, S. A. Bargal, Z. Lin, J. Brandt, X. Shen, S. Sclaroff. Top-down neural "
    "attention by excitation backprop. International Journal of Computer Vision 126 (2018) 1084–1102. "
    "arXiv:1608.00507",
    "zimmermann2022": "R. S. Zimmermann, W. Brendel, F. Tramèr, N. Carlini. Increasing confidence in "
    "adversarial robustness evaluations. NeurIPS 2022. arXiv:2206.13991",
    "zou2008": "G. Y. Zou, A. Donner. Construction of confidence limits about effect measures: a "
    "general approach. Statistics in Medicine 27 (2008) 1693–1702. doi:10.1002/sim.3095",
}
